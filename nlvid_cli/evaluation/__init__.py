"""Figures of a labelled set."""
