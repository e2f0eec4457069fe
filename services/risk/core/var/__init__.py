"""Value at risk and expected shortfall: five methods, their parts by symbol, and their backtests."""
