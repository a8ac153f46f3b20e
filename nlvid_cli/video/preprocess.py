"""From upright RGB frames to what a network takes: crop, scale the values, put the axes in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.errors import InputShapeError

if TYPE_CHECKING:
    from nlvid_cli.checkpoints.card import Preprocess

Frames = NDArray[np.uint8]
Views = NDArray[np.float32]


def centre_crop(free: int) -> list[int]:
    """One crop, in the middle of the longer side; an odd pixel goes to the end."""
    return [free // 2]


def three_crops(free: int) -> list[int]:
    """Three crops: at the start, in the middle and at the end of the longer side."""
    return [0, free // 2, free]


CROPS: dict[int, Callable[[int], list[int]]] = {1: centre_crop, 3: three_crops}
"""By number of crops: pixels that are free along the longer side -> where the crops start. Across, all are centred."""


def preprocess(frames: Frames, rules: Preprocess) -> Views:
    """Crop and normalise: (value - mean) / std in fp32, for each of R, G, B.

    Args:
        frames: (clips, frames, height, width, 3) uint8 RGB, upright, the shorter side already resized.
        rules: the card's.

    Returns:
        (clips * crops, 3, frames, crop, crop) float32, contiguous; the crops of a clip follow each other.

    Raises:
        InputShapeError: the frames are smaller than the crop.
    """
    clips, length, height, width, _ = frames.shape
    corners = crop_corners(height, width, rules)
    views = np.empty((clips * len(corners), 3, length, rules.crop, rules.crop), np.float32)
    for clip in range(clips):
        for place, (top, left) in enumerate(corners):
            crop = frames[clip, :, top : top + rules.crop, left : left + rules.crop]
            _normalise(crop, rules, views[clip * len(corners) + place])
    return views


def crop_corners(height: int, width: int, rules: Preprocess) -> list[tuple[int, int]]:
    """(top, left) of each crop, in order."""
    free_y, free_x = height - rules.crop, width - rules.crop
    if min(free_y, free_x) < 0:
        raise InputShapeError(
            f"frames of {width} x {height} pixels are smaller than the model's crop of {rules.crop} "
            f"(the card resizes the shorter side to {rules.short_side})"
        )
    if width >= height:
        return [(free_y // 2, left) for left in CROPS[rules.crops](free_x)]
    return [(top, free_x // 2) for top in CROPS[rules.crops](free_y)]


def _normalise(crop: Frames, rules: Preprocess, out: Views) -> None:
    """(T, H, W, 3) -> (3, T, H, W), frame by frame, so that all steps on a plane find it in the processor's cache."""
    mean, std = np.array(rules.mean, np.float32), np.array(rules.std, np.float32)
    for time, picture in enumerate(crop):
        for channel in range(3):
            plane = out[channel, time]
            np.subtract(picture[..., channel], mean[channel], out=plane, dtype=np.float32)
            np.divide(plane, std[channel], out=plane)
