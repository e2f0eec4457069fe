"""Pure rules of models and scores."""
