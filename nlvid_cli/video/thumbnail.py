"""Thumbnails of videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames

FRAMES = 3
"""Number of frames side by side, at 1/4, 1/2 and 3/4 of the video: one frame shows no action."""

QUALITY = 5
"""Quantiser of the JPEG, from 1 (best) to 31."""


def thumbnail(path: Path, short_side: int = 72, frames: int = FRAMES) -> bytes:
    """Make a JPEG file of upright frames of a video, side by side.

    Args:
        path: Path of the video.
        short_side: Shorter side of each frame, in pixels.
        frames: Number of frames, evenly spread.

    Raises:
        VideoError: The video cannot be used.
    """
    info = probe(path)
    count = len(info.times_seconds)
    numbers = np.array([[count * (n + 1) // (frames + 1) for n in range(frames)]])
    pictures = read_frames(info, numbers, short_side, threads=1).frames[0]  # (frames, H, W, 3)
    return encode_jpeg(np.concatenate(list(pictures), axis=1))  # (H, frames * W, 3)


def encode_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Encode an RGB picture (height, width, 3) as a JPEG file."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = picture.shape[:2]
    codec.pix_fmt = "yuvj420p"
    codec.time_base = Fraction(1, 25)
    codec.qmin = codec.qmax = QUALITY
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
