"""Labelling many videos: skip those that have a row, label the others, write a row for each."""
