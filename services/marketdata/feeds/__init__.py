"""Connections to sources of market data, what drives them, and the way they are reached."""
