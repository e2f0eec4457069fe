"""Reference strategies: pure functions from market data to signals."""

from strategies.features import MODEL_NAME

__all__ = ["MODEL_NAME"]
