"""HTTP in and out of ml."""
