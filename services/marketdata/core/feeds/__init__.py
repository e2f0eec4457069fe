"""Sources of market data: calls, breaker, health and which one is active; time and chance are passed in."""
