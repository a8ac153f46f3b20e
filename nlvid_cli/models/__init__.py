"""From a model's name to its card and its file."""
