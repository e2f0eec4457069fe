"""Drive recorded market data through the suite as if it happened now."""
