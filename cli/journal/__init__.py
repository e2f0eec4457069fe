"""Risk's journal without a service: read it, export it, prove it."""
