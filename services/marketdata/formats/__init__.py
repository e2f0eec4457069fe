"""Readers of market data files, one module a format: they keep what the source says and judge nothing."""
