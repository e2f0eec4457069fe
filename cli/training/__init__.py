"""Train the signal model: rows from market data, a logistic regression, an ONNX graph, the registry."""
