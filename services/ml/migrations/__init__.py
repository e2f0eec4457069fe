"""Schema history of ml."""
