"""The road from a path to a prediction."""
