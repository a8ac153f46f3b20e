"""From a decoded frame to an upright RGB picture: one swscale pass, one copy."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from nlvid_cli.video.info import Orientation

Picture = NDArray[np.uint8]

RESIZE = {
    "swscale_bilinear": Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
}
"""swscale's flags by the name of the resize rule. Exact rounding and no processor-specific short cuts: the same numbers
on every machine. (Bilinear in swscale widens its triangle when it shrinks a picture, so that nothing aliases.)"""


def resized(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Size with the shorter side brought to ``short_side`` pixels, the longer one in proportion, rounded half up."""
    if short_side is None or min(width, height) == short_side:
        return width, height
    if width <= height:
        return short_side, max(1, int(height * short_side / width + 0.5))
    return max(1, int(width * short_side / height + 0.5)), short_side


class PictureMaker:
    """Turns the frames of one video into RGB pictures of one size.

    Colour matrix and range are those that the frame carries (ITU-R BT.601, limited range, where it carries none); alpha
    is dropped. It holds one swscale context and reuses it for every frame, so it belongs to one thread.
    """

    def __init__(self, width: int, height: int, orientation: Orientation, rule: str) -> None:
        """Prepare for pictures that are ``width`` x ``height`` before they are turned upright."""
        self._width = width
        self._height = height
        self._orientation = orientation
        self._flags = RESIZE[rule]
        self._reformatter = VideoReformatter()

    def make(self, frame: VideoFrame, out: Picture) -> None:
        """Write the upright picture of ``frame`` to ``out``, (height, width, 3) as displayed."""
        same_size = (frame.width, frame.height) == (self._width, self._height)
        rgb = self._reformatter.reformat(
            frame,
            self._width,
            self._height,
            "rgb24",
            # without resizing, the plain conversion that every tool built on FFmpeg gives
            interpolation=Interpolation.BILINEAR if same_size else self._flags,
            threads=1,
        )
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : self._height, : self._width * 3
        ]
        out[...] = self._orientation.apply(rows.reshape(self._height, self._width, 3))
