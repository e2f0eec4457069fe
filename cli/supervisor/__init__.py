"""Run the whole suite on one machine, each service as its own process."""
