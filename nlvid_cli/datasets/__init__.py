"""Labelled videos: find out how a data set is written down, read it, split it, and check it."""
