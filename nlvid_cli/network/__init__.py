"""The networks as torch modules; ``build.py`` makes the one that a card describes."""
