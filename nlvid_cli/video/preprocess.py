"""From upright RGB frames to views for a network: crop, normalise, reorder the axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.errors import InputShapeError
from nlvid_cli.video.info import Pixels

if TYPE_CHECKING:
    from nlvid_cli.card.card import Preprocess

Array = NDArray[np.float32]


def centre_down(free: int) -> list[int]:
    """Start, centre, end; an odd pixel goes after the centre (GluonCV, Inception I3D)."""
    return [0, free // 2, free]


def centre_up(free: int) -> list[int]:
    """Start, centre, end; an odd pixel goes before the centre (PySlowFast, PyTorchVideo, LFB)."""
    return [0, (free + 1) // 2, free]


def centre_half_even(free: int) -> list[int]:
    """Start, centre, end; the half of an odd number is rounded to the even one (torchvision, pytorch-resnet3d)."""
    return [0, round(free / 2), free]


def even(free: int) -> list[int]:
    """Equal distances of whole pixels, so that the last crop may end a pixel early (FAIR, video-nonlocal-net)."""
    return [0, free // 2, 2 * (free // 2)]


def even_centre_last(free: int) -> list[int]:
    """The same places in the order start, end, centre (MMAction2, "ThreeCrop")."""
    return [0, 2 * (free // 2), free // 2]


CROPS: dict[str, Callable[[int], list[int]]] = {
    "centre_down": centre_down,
    "centre_up": centre_up,
    "centre_half_even": centre_half_even,
    "even": even,
    "even_centre_last": even_centre_last,
}
"""Free pixels along a side -> starts of the three crops, in the order of the views."""


def preprocess(frames: Pixels, rules: Preprocess) -> Array:
    """Crop and normalise frames: (value - mean) / std in fp32, for each of R, G, B.

    Args:
        frames: (clips, frames, height, width, 3) RGB, uint8 or float32 in [0, 255], upright, already resized.
        rules: The card's preprocessing.

    Returns:
        (clips * crops, 3, frames, crop, crop) float32, contiguous; the crops of a clip follow each other.

    Raises:
        InputShapeError: The frames are smaller than the crop.
    """
    clips, length, height, width, _ = frames.shape
    corners = crop_corners(height, width, rules)
    views = np.empty((clips * len(corners), 3, length, rules.crop, rules.crop), np.float32)
    for clip in range(clips):
        for place, (top, left) in enumerate(corners):
            crop = frames[clip, :, top : top + rules.crop, left : left + rules.crop]
            _normalise(crop, rules, views[clip * len(corners) + place])
    return views


def crop_to_view(frames: Pixels, rules: Preprocess) -> Pixels:
    """Return a view of frames, (..., height, width, 3), without the pixels that no crop has; three crops have all.

    Raises:
        InputShapeError: The frames are smaller than the crop.
    """
    height, width = frames.shape[-3:-1]
    corners = crop_corners(height, width, rules)
    if rules.crops != 1:
        return frames
    ((top, left),) = corners
    return frames[..., top : top + rules.crop, left : left + rules.crop, :]


def crop_corners(height: int, width: int, rules: Preprocess) -> list[tuple[int, int]]:
    """Return (top, left) of each crop, in order: by the card's rule along the longer side, in the centre across it."""
    free_y, free_x = height - rules.crop, width - rules.crop
    if min(free_y, free_x) < 0:
        raise InputShapeError(
            f"frames of {width} x {height} pixels are smaller than the model's crop of {rules.crop} "
            f"(the card resizes the shorter side to {rules.short_side})"
        )
    starts = CROPS[rules.crop_positions]
    along = starts(max(free_x, free_y))
    if rules.crops == 1:
        along = [centre(along)]
    if width >= height:
        return [(centre(starts(free_y)), left) for left in along]
    return [(top, centre(starts(free_x))) for top in along]


def centre(starts: list[int]) -> int:
    """Return the start of the middle one of three crops."""
    return sorted(starts)[1]


def _normalise(crop: Pixels, rules: Preprocess, out: Array) -> None:
    """(T, H, W, 3) -> (3, T, H, W), plane by plane, so that each stays in the processor's cache between the steps."""
    mean, std = np.array(rules.mean, np.float32), np.array(rules.std, np.float32)
    for time, picture in enumerate(crop):
        for channel in range(3):
            plane = out[channel, time]
            np.subtract(picture[..., channel], mean[channel], out=plane, dtype=np.float32)
            np.divide(plane, std[channel], out=plane)
