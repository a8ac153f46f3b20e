"""Fetch model files from outside, and keep them on this machine."""
