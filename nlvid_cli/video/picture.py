"""Turn a decoded frame into an upright RGB picture of the wanted size."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.info import Orientation, Pixels
from nlvid_cli.video.resize import float_bilinear, opencv_bilinear

EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
"""Flags of swscale for exact rounding without processor-specific short cuts: the same numbers on every machine."""

RESIZE: dict[str, Interpolation | Callable[[NDArray[np.uint8], NDArray[Any]], None]] = {
    "swscale_bilinear": Interpolation.BILINEAR | EXACT,
    "opencv_bilinear": opencv_bilinear,
    "float_bilinear": float_bilinear,
}
"""Interpolation rules: flags for swscale, which resizes and converts to RGB in one pass (and widens its kernels when it
shrinks a picture, so that nothing aliases); or a function that fills the new picture from the upright one of full
size."""


CONVERTED_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
"""Colour matrices (ITU-T H.273) that swscale converts; it refuses YCgCo, ICtCp and others."""

UNSPECIFIED, BT2020, BT2020_CONSTANT = 2, 9, 10
"""Numbers of colour matrices. The last two differ in how they treat luminance, and are close."""

ABORTING_FORMATS = ("yaf32",)
"""Pixel formats over which swscale ends the process (FFmpeg 8)."""


def unknown_format(frame: VideoFrame) -> UnreadableVideo:
    """Return the error for a frame whose pixel format cannot be converted."""
    return UnreadableVideo(f"FFmpeg does not convert its pixel format, {frame.format.name}, to RGB (convert it first)")


def pixel_type(rule: str) -> type[np.uint8 | np.float32]:
    """Return the type of a resize rule's pixels, in [0, 255]: uint8, or float32 if the rule does not round."""
    return np.float32 if rule == "float_bilinear" else np.uint8


def half_up(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Scale the longer side in proportion, rounded half up (MMAction2)."""
    if width <= height:
        return short_side, int(height * short_side / width + 0.5)
    return int(width * short_side / height + 0.5), short_side


def floored(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Scale the longer side in proportion, rounded down (PySlowFast, PyTorchVideo, LFB)."""
    if min(width, height) == short_side:
        return width, height
    if width <= height:
        return short_side, floor(height / width * short_side)
    return floor(width / height * short_side), short_side


def float32_floored(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Scale both sides by a ratio in single precision, rounded down (FAIR, video-nonlocal-net).

    For some sizes the original makes the shorter side a pixel too short for the crop (255 of 256); here it is never
    shorter than ``short_side``.
    """
    ratio = np.float32(short_side) / np.float32(min(width, height))
    return max(short_side, int(np.float32(width) * ratio)), max(short_side, int(np.float32(height) * ratio))


def stretched_340x256(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Stretch to a width of 340 and a height of 256, whatever the shape (GluonCV)."""
    return 340, 256


SIZES: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "half_up": half_up,
    "floor": floored,
    "float32_floor": float32_floored,
    "stretched_340x256": stretched_340x256,
}
"""(width, height, short side) of the upright picture -> its new width and height."""


class PictureMaker:
    """Turns the frames of one video into RGB pictures of one size.

    Colour matrix and range are the frame's own (ITU-R BT.601, limited range, if it has none, or one that swscale does
    not convert); alpha is dropped. One swscale context serves all frames, so each thread needs its own maker.
    """

    def __init__(self, orientation: Orientation, rule: str) -> None:
        """Prepare for frames of an orientation, and for a rule of :data:`RESIZE`."""
        self._orientation = orientation
        self._rule = RESIZE[rule]
        self._reformatter = VideoReformatter()

    def make(self, frame: VideoFrame, out: Pixels) -> None:
        """Write the upright picture of ``frame`` to ``out``, (height, width, 3) as displayed.

        Raises:
            UnreadableVideo: Its pixel format cannot be converted.
        """
        if isinstance(self._rule, Interpolation):
            # displayed() is its own inverse: this is the size before the picture is turned
            width, height = self._orientation.displayed(out.shape[1], out.shape[0])
            out[...] = self._orientation.apply(self._convert(frame, width, height, self._rule))
        else:
            self._rule(self._orientation.apply(self._convert(frame, frame.width, frame.height, EXACT)), out)

    def _convert(self, frame: VideoFrame, width: int, height: int, flags: Interpolation) -> NDArray[np.uint8]:
        """Convert to RGB, (height, width, 3), without turning."""
        same_size = (frame.width, frame.height) == (width, height)
        if frame.format.name.startswith(ABORTING_FORMATS):
            raise unknown_format(frame)
        if frame.colorspace not in CONVERTED_MATRICES:
            frame.colorspace = BT2020 if frame.colorspace == BT2020_CONSTANT else UNSPECIFIED
        try:
            rgb = self._reformatter.reformat(
                frame,
                width,
                height,
                "rgb24",
                # without resizing: the plain conversion of every tool built on FFmpeg
                interpolation=Interpolation.BILINEAR if same_size else flags,
                threads=1,
            )
        except MemoryError:
            raise
        except av.error.FFmpegError:
            raise unknown_format(frame) from None
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, : width * 3]
        return rows.reshape(height, width, 3)  # (H, W*3) -> (H, W, 3)
