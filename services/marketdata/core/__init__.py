"""What marketdata judges: pure and deterministic."""
