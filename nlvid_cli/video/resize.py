"""Bilinear interpolation of RGB pictures as OpenCV and torch compute it, without either library.

For each new pixel, both use the two nearest rows and the two nearest columns, however much the picture shrinks (no
antialiasing), with pixel centres at halves::

    4 pixels   |  0  |  1  |  2  |  3  |          new pixel i lies at (i + 0.5) * 4 / 3 - 0.5
    3 pixels   |   0   |   1   |   2   |          = 0.17, 1.5, 2.83

Only the rows that are needed are read: they are interpolated across first, and then in pairs down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 32
"""New rows to make at a time, so that intermediate rows stay in the processor's cache."""

COEFFICIENT_BITS = 11
"""Bits of OpenCV's weights for 8-bit pictures: multiples of 1 / 2048."""


def opencv_bilinear(picture: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Resize as ``cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)`` does, bit for bit.

    Where both sides shrink to exactly one half, OpenCV takes the mean of 2 x 2 pixels instead.

    Args:
        picture: (height, width, 3) of the full size, upright: the order of the two directions affects the rounding.
        out: (height, width, 3) to fill.
    """
    if picture.shape == out.shape:
        out[...] = picture
        return
    if picture.shape[:2] == (2 * out.shape[0], 2 * out.shape[1]):
        out[...] = _halved(picture)
        return
    plan = _plan_for(picture, out, _fixed_point_taps)
    for block, upper, lower in _neighbours(picture, plan):
        for rows, weights in ((upper, plan.upper_weights), (lower, plan.lower_weights)):
            rows >>= 4  # of 8 + 11 bits; the shifts are those of OpenCV's vector instructions
            rows *= weights[block]
            rows >>= 16
        upper += lower
        upper += 2
        upper >>= 2
        out[block] = upper.reshape(-1, *out.shape[1:])  # (block, w*3) -> (block, w, 3)


def float_bilinear(picture: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize as ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``, up to the order of sums.

    Args:
        picture: (height, width, 3) of the full size.
        out: (height, width, 3) to fill with values in [0, 255], not rounded.
    """
    if picture.shape == out.shape:
        out[...] = picture
        return
    plan = _plan_for(picture, out, _float_taps)
    for block, upper, lower in _neighbours(picture, plan):
        upper *= plan.upper_weights[block]
        lower *= plan.lower_weights[block]
        upper += lower
        out[block] = upper.reshape(-1, *out.shape[1:])  # (block, w*3) -> (block, w, 3)


@dataclass(frozen=True, eq=False)
class _Taps:
    """The two old samples of each new one along one side, and their weights; all (new length,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    first_weights: NDArray[Any]
    second_weights: NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Plan:
    """Index and weight tables from one size to another.

    Attributes:
        rows: (rows,) old rows that are needed, ascending.
        above: (h,) index in ``rows`` of the upper row of each new row.
        below: (h,) index in ``rows`` of the lower row.
        upper_weights: (h, 1) weights of the upper rows.
        lower_weights: (h, 1) weights of the lower rows.
        columns: (columns,) old columns that are needed, ascending; None: all W of them.
        left: (w * 3,) index in an old row, (W * 3,) or (columns * 3,), of the left sample of each new one.
        right: (w * 3,) index of the right sample.
        left_weights: (w * 3,) weights of the left samples.
        right_weights: (w * 3,) weights of the right samples.
    """

    rows: NDArray[np.int64]
    above: NDArray[np.int64]
    below: NDArray[np.int64]
    upper_weights: NDArray[Any]
    lower_weights: NDArray[Any]
    columns: NDArray[np.int64] | None
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_weights: NDArray[Any]
    right_weights: NDArray[Any]


def _neighbours(picture: NDArray[np.uint8], plan: _Plan) -> Iterator[tuple[slice, NDArray[Any], NDArray[Any]]]:
    """Yield each block of new rows, with the old rows above and below each, (block, w * 3) in the new width."""
    if plan.columns is not None:
        picture = picture[:, plan.columns]
    for start in range(0, len(plan.above), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        first, last = plan.above[block][0], plan.below[block][-1]
        rows = _across(picture[plan.rows[first : last + 1]], plan)
        yield block, rows[plan.above[block] - first], rows[plan.below[block] - first]


def _across(rows: NDArray[np.uint8], plan: _Plan) -> NDArray[Any]:
    """Interpolate across: (rows, W, 3) -> (rows, w * 3), in the type of the weights."""
    flat = rows.reshape(len(rows), -1)  # (rows, W, 3) -> (rows, W*3)
    left = flat.take(plan.left, axis=1).astype(plan.left_weights.dtype)
    right = flat.take(plan.right, axis=1).astype(plan.right_weights.dtype)
    left *= plan.left_weights
    right *= plan.right_weights
    left += right
    return left


def _halved(picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the means of 2 x 2 pixels, halves rounded up."""
    wide = picture.astype(np.uint16)
    rows = wide[0::2] + wide[1::2]
    means = rows[:, 0::2] + rows[:, 1::2]
    means += 2
    means >>= 2
    return means


def _plan_for(picture: NDArray[np.uint8], out: NDArray[Any], taps: Callable[[int, int], _Taps]) -> _Plan:
    on_its_side = abs(picture.strides[0]) < abs(picture.strides[1])
    return _plan(*picture.shape[:2], *out.shape[:2], taps, on_its_side)


@lru_cache(maxsize=32)
def _plan(
    height: int,
    width: int,
    new_height: int,
    new_width: int,
    taps: Callable[[int, int], _Taps],
    on_its_side: bool,
) -> _Plan:
    """Make the plan of a video: all its frames share it.

    Where the picture lies on its side in memory, columns are cheap to select and rows are slow to copy.
    """
    down, across = taps(height, new_height), taps(width, new_width)
    rows, above, below = _needed(down)
    columns, left, right = _needed(across) if on_its_side else (None, across.first, across.second)
    channels = np.arange(3)
    return _Plan(
        rows,
        above,
        below,
        down.first_weights[:, None],
        down.second_weights[:, None],
        columns,
        (3 * left[:, None] + channels).ravel(),  # (w, 3) -> (w*3,)
        (3 * right[:, None] + channels).ravel(),
        across.first_weights.repeat(3),
        across.second_weights.repeat(3),
    )


def _needed(taps: _Taps) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the old samples that are used, ascending, and the index among them of each new one's first and second."""
    needed, places = np.unique(np.stack([taps.first, taps.second]), return_inverse=True)
    first, second = places.reshape(2, -1)
    return needed, first, second


def _fixed_point_taps(length: int, new_length: int) -> _Taps:
    """Samples and weights of OpenCV: places in single precision, weights rounded half to even, ends repeated."""
    place = ((np.arange(new_length) + 0.5) * (1 / (new_length / length)) - 0.5).astype(np.float32)
    first = np.floor(place)
    fraction = place - first
    unit = np.float32(1 << COEFFICIENT_BITS)
    return _Taps(
        np.clip(first, 0, length - 1).astype(np.int64),
        np.clip(first + 1, 0, length - 1).astype(np.int64),
        np.round((np.float32(1) - fraction) * unit).astype(np.int32),
        np.round(fraction * unit).astype(np.int32),
    )


def _float_taps(length: int, new_length: int) -> _Taps:
    """Samples and weights of torch: all in single precision, places before the first sample moved onto it."""
    scale = np.float32(length) / np.float32(new_length)
    place = np.maximum(scale * (np.arange(new_length, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5), 0)
    first = np.minimum(place.astype(np.int64), length - 1)
    fraction = np.clip(place - first.astype(np.float32), 0, 1)
    return _Taps(first, np.minimum(first + 1, length - 1), np.float32(1) - fraction, fraction)
