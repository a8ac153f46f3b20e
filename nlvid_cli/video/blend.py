"""Put patches on decoded pictures without turning these into RGB.

Most videos are stored as luma and half-size chroma planes (yuv420p), and so are those that nlvid writes. A picture's
planes are copied, not converted: where nothing is drawn, its samples stay the same. Patches are converted once, to the
picture's own colour matrix and range, and blended into the planes where they lie.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from nlvid_cli.video.annotate import Patch
from nlvid_cli.video.info import Orientation
from nlvid_cli.video.picture import ABORTING_FORMATS, BT2020, BT2020_CONSTANT, unknown_format

FORMAT = "yuv420p"

FULL_RANGE = "yuvj"
"""Start of the names of formats that say by their name that samples use all of [0, 255]."""

BT709 = 1
"""Number of the matrix, the transfer and the primaries of HD video (ITU-T H.273)."""

WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""Shares of red and of blue in the luma, by colour matrix (ITU-T H.273, table 4)."""

BT601 = (0.299, 0.114)
"""The same of all other matrices, and where none is named."""

WHITE = {16: 0.58, 18: 0.75}
"""Signal of white, by transfer characteristics (ITU-R BT.2408): in HDR (PQ, HLG), 1 would dazzle."""


@dataclass(frozen=True)
class Colours:
    """How samples stand for colours: numbers of ITU-T H.273, as FFmpeg has them; 2, and 0 for the range: not said."""

    matrix: int
    range: int
    transfer: int
    primaries: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Colours:
        """Return those in which a picture is written; RGB becomes BT.709."""
        if frame.format.is_rgb or frame.format.has_palette:
            return cls(BT709, ColorRange.MPEG, BT709, BT709)
        full = frame.format.name.startswith((FULL_RANGE, "gray"))
        stated = ColorRange.JPEG if full else frame.color_range
        matrix = int(frame.colorspace)
        return cls(matrix, int(stated), int(frame.color_trc), int(frame.color_primaries))

    @property
    def is_hdr(self) -> bool:
        """Whether a sample says how bright its place is in HDR (PQ, HLG)."""
        return self.transfer in WHITE

    @property
    def convertible(self) -> int:
        """The matrix, or one close to it that swscale knows."""
        if self.matrix == BT2020_CONSTANT:
            return BT2020
        return self.matrix if self.matrix in WEIGHTS else Colorspace.ITU601


@dataclass(frozen=True, eq=False)
class _PlanePatch:
    """A patch for one plane: ``picture = (picture * keep + add) >> 8``."""

    rows: slice
    columns: slice
    keep: NDArray[np.uint16]
    add: NDArray[np.uint16]


class Canvas:
    """Makes upright yuv420p pictures of even size, which can be drawn on, from the pictures of one video.

    Args:
        first: First picture, which decides on size and colours.
        orientation: How to turn the pictures upright.

    Attributes:
        width: Width of the pictures that are made: that of the first one, upright, without its last column if odd.
        height: Height, the same.
        colours: Their colours, which are those of the first picture.
    """

    def __init__(self, first: VideoFrame, orientation: Orientation) -> None:
        self._size = (first.width, first.height)
        self._stored = (_even(first.width), _even(first.height))
        self._orientation = orientation
        self._reformatter = VideoReformatter()
        self.width, self.height = orientation.displayed(*self._stored)
        self.colours = Colours.of(first)
        self._converted = lru_cache(64)(self._convert)

    def picture(self, frame: VideoFrame, patches: Iterable[Patch]) -> VideoFrame:
        """Return a new picture: the frame, upright, with the patches on it, the first one lowest.

        Raises:
            UnreadableVideo: Its pixel format cannot be converted.
        """
        made = self._planes_of(frame)
        planes = [samples(plane) for plane in made.planes]
        for patch in patches:
            for plane, part in zip(planes, self._converted(patch), strict=True):
                place = plane[part.rows, part.columns]
                mixed = np.multiply(place, part.keep, dtype=np.uint16)
                mixed += part.add
                mixed >>= 8
                place[...] = mixed
        return made

    def _planes_of(self, frame: VideoFrame) -> VideoFrame:
        """Return the upright picture as a frame of its own: decoders still refer to those that they return."""
        source = frame if self._can_be_copied(frame) else self._converted_to_planes(frame)
        if source is not frame and (source.width, source.height, self._orientation) == (*self._stored, Orientation()):
            return source
        made = VideoFrame(self.width, self.height, FORMAT)
        for target, plane in zip(map(samples, made.planes), map(samples, source.planes), strict=True):
            height, width = target.shape[::-1] if self._orientation.exchange_axes else target.shape
            stored = plane[:height, :width, None]  # without the last row and column of odd sizes
            target[..., None] = self._orientation.apply(stored)
        return made

    def _can_be_copied(self, frame: VideoFrame) -> bool:
        """Whether the planes of a frame are as those of the picture, before it is turned."""
        is_like_first = (frame.width, frame.height) == self._size and Colours.of(frame) == self.colours
        return is_like_first and frame.format.name in (FORMAT, "yuvj420p") and min(self._size) > 1

    def _converted_to_planes(self, frame: VideoFrame) -> VideoFrame:
        """Return a frame of another format, or size, as one that can be copied."""
        if frame.format.name.startswith(ABORTING_FORMATS):
            raise unknown_format(frame)
        is_like_first = (frame.width, frame.height) == self._size and min(self._size) > 1
        width, height = self._size if is_like_first else self._stored
        colours = Colours.of(frame)
        is_rgb = frame.format.is_rgb or frame.format.has_palette
        try:
            return self._reformatter.reformat(
                frame,
                width,
                height,
                FORMAT,
                src_colorspace=colours.convertible,
                dst_colorspace=self.colours.convertible,
                src_color_range=ColorRange.JPEG if is_rgb else colours.range,
                dst_color_range=self.colours.range,
                interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            )
        except MemoryError:
            raise
        except av.error.FFmpegError:
            raise unknown_format(frame) from None

    def _convert(self, patch: Patch) -> tuple[_PlanePatch, ...]:
        """Return a patch for each plane, cut at the edges of the picture and grown to whole chroma samples."""
        left, top = max(0, patch.left) & ~1, max(0, patch.top) & ~1
        right = min(self.width, _even(patch.left + patch.pixels.shape[1] + 1))
        bottom = min(self.height, _even(patch.top + patch.pixels.shape[0] + 1))
        grown = np.zeros((bottom - top, right - left, 4), np.float64)
        part = patch.pixels[: bottom - patch.top, : right - patch.left]
        grown[patch.top - top :, patch.left - left :][: part.shape[0], : part.shape[1]] = part
        opacity = np.round(grown[..., 3] * (256 / 255))
        luma, blue, red = self._samples_of(grown[..., :3])
        weight = _halved(opacity)
        return (
            _plane_patch(top, left, opacity, luma * opacity),
            _plane_patch(top // 2, left // 2, np.round(weight), _halved(blue * opacity), weight),
            _plane_patch(top // 2, left // 2, np.round(weight), _halved(red * opacity), weight),
        )

    def _samples_of(self, rgb: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return Y, Cb and Cr, (height, width) each, of R, G and B in [0, 255]."""
        red_share, blue_share = WEIGHTS.get(self.colours.matrix, BT601)
        red, green, blue = np.moveaxis(rgb * WHITE.get(self.colours.transfer, 1.0), -1, 0)
        luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
        cb, cr = (blue - luma) / (2 * (1 - blue_share)), (red - luma) / (2 * (1 - red_share))
        if self.colours.range == ColorRange.JPEG:
            return luma, cb + 128, cr + 128
        return 16 + luma * (219 / 255), 128 + cb * (224 / 255), 128 + cr * (224 / 255)


def samples(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return the samples of a plane of bytes, (height, width), as a view that can be written."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _plane_patch(
    top: int,
    left: int,
    opacity: NDArray[np.float64],
    add: NDArray[np.float64],
    exact: NDArray[np.float64] | None = None,
) -> _PlanePatch:
    """Round what is added so that a grey that is mixed with itself stays the same."""
    if exact is not None:
        add = add * np.divide(opacity, exact, out=np.zeros_like(exact), where=exact > 0)
    height, width = opacity.shape
    return _PlanePatch(
        slice(top, top + height),
        slice(left, left + width),
        (256 - opacity).astype(np.uint16),
        np.minimum(np.round(add) + 128, 255 * opacity + 128).astype(np.uint16),
    )


def _halved(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means of 2 x 2 values."""
    height, width = values.shape
    halved: NDArray[np.float64] = values.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))  # (H/2, W/2)
    return halved


def _even(size: int) -> int:
    """Return the largest even size within ``size``, at least 2."""
    return max(2, size & ~1)
