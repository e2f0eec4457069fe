"""Live marks: the latest of each symbol, and the stream of their changes."""
