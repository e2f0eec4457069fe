"""Training of the signal model."""
