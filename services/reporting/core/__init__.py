"""What reporting computes: pure and deterministic."""
