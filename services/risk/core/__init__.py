"""The decisions of risk: pure and deterministic."""
