"""How each source of market data is reached, step by step."""
