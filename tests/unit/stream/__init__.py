"""Readers of market data files."""
