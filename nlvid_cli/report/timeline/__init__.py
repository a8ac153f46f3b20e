"""Timelines for people and for programs, a file per form."""
