"""Facts about a video that need none of its pictures: frame times, size, orientation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.video.remote import RemotePath

Times = NDArray[np.float64]
Numbers = NDArray[np.int64]

Pixels = NDArray[np.uint8 | np.float32]
"""R, G, B in [0, 255] along the last axis: uint8, or float32 where the rule for resizing does not round."""


@dataclass(frozen=True)
class Orientation:
    """How to turn decoded pictures upright: first exchange the axes, then mirror.

    ::

        clockwise quarter turn        a b      exchange   a c     mirror     c a
                                      c d      the axes   b d     left-right d b

    Attributes:
        exchange_axes: Whether rows become columns.
        mirror_x: Whether left and right are swapped after that.
        mirror_y: Whether top and bottom are swapped after that.
    """

    exchange_axes: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: NDArray[np.int32]) -> Orientation:
        """Return the orientation that is nearest to a display matrix.

        Args:
            matrix: (3, 3) fixed-point numbers as in the ``tkhd`` box of ISO/IEC 14496-12, section 8.3.2: a pixel at
                (x, y) is shown at (a x + c y, b x + d y), where the first row starts with a, b and the second with
                c, d.
        """
        (a, b), (c, d) = matrix[:2, :2].astype(np.int64).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, mirror_x=c < 0, mirror_y=b < 0)
        return cls(False, mirror_x=a < 0, mirror_y=d < 0)

    @property
    def rotation_degrees(self) -> int:
        """Clockwise rotation, 0, 90, 180 or 270; a mirror image is rotated after left and right were swapped."""
        if self.exchange_axes:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def displayed(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height, as displayed, of a picture that is decoded as ``width`` x ``height``."""
        return (height, width) if self.exchange_axes else (width, height)

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an upright view of a decoded picture (height, width, 3), without copying it."""
        if self.exchange_axes:
            picture = picture.transpose(1, 0, 2)  # (H, W, C) -> (W, H, C)
        return picture[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]


@dataclass(frozen=True)
class VideoFacts:
    """Duration, rate and size of a video; plain values that travel from the probe to the JSON.

    Attributes:
        duration_seconds: From the first frame to the end of the last one.
        frame_rate: Mean frames per second, frames / duration.
        variable_frame_rate: Whether the frames are unevenly spaced, beyond the rounding of time stamps.
        width: Pixels, as displayed (after rotation; non-square pixels are left as they are).
        height: Pixels, as displayed.
        rotation_degrees: Clockwise turn that shows the frames upright: 0, 90, 180 or 270.
    """

    duration_seconds: float
    frame_rate: float
    variable_frame_rate: bool
    width: int
    height: int
    rotation_degrees: int = 0

    def rounded(self) -> VideoFacts:
        """Return the facts as reported: duration and rate to 6 decimal places."""
        return replace(self, duration_seconds=round(self.duration_seconds, 6), frame_rate=round(self.frame_rate, 6))


@dataclass(frozen=True)
class Header:
    """What a file states about its video stream, true or not, because one of the original loaders counts by it.

    Attributes:
        duration: Length of the stream, in units of the time stamps; positive.
        frame_rate: Frames per second; positive.
        unit: Seconds in a unit of the time stamps; positive.
        first_stamp: Time stamp of the first frame that is shown, in these units.
    """

    duration: int
    frame_rate: float
    unit: Fraction
    first_stamp: int = 0


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """Frames of a video in time, their size, and how to find them.

    Frames are numbered from 0 in the order of display.

    Attributes:
        path: of the file, or of a folder of pictures.
        times_seconds: (frames,) float64, ascending: time of display of each frame; the first is at 0.
        facts: Duration, rate and size.
        warnings: Oddities of the file, in sentences.
        stream_index: Index of the video stream in the file.
        orientation: How to turn the pictures upright.
        pts: (frames,) int64, ascending: presentation time stamps in the stream's unit; None where time stamps do not
            identify the pictures, and only counting does.
        key_frames: (keys,) int64, ascending: numbers of the frames at which decoding can start; empty where only
            decoding from the start is sure to return the right pictures.
        header: What the file states about the stream; None where it states no duration (Matroska, raw streams).
        pictures: Names of the files of the frames, where the path is a folder of pictures; else empty.
        recount: Makes the info from the time stamps of all pictures, in the order in which they come out of the
            decoder. None if the frames are sure; else they are those that the packets promise.
    """

    path: Path | RemotePath
    times_seconds: Times
    facts: VideoFacts
    warnings: tuple[str, ...] = ()
    stream_index: int = 0
    orientation: Orientation = Orientation()
    pts: Numbers | None = None
    key_frames: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    header: Header | None = None
    pictures: tuple[str, ...] = ()
    recount: Callable[[list[int | None]], VideoInfo] | None = None
