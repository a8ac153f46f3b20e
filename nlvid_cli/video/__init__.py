"""From a video file to the input of a network: probe, sample, read, preprocess.

All interfaces are numpy arrays; only this package imports PyAV.
"""
