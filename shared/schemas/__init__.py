"""Wire contracts, one file per subject."""
