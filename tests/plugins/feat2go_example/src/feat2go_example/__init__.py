"""An encoder, a clustering strategy and an algorithm for feat2go."""
