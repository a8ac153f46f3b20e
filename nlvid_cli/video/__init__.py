"""From a video file to the input of a network: probe, sample, read, preprocess.

numpy arrays cross all borders; PyAV is the only library that sees the file.
"""
