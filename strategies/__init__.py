"""Reference strategies: pure functions from market data to signals."""
