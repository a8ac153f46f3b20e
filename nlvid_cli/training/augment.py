"""Augmentation of a training clip: its scale, its crop, and whether it is mirrored.

One choice holds for all frames of a clip. Random numbers come from a generator that is keyed by the clip, so neither
the order of the workers nor the number of processes changes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

SIDED = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)
"""Words in the names of actions that mirroring would turn into others."""

WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Positions in a name such as ``SwipeLeft`` where a word starts."""


@dataclass(frozen=True)
class CropWindow:
    """A square in the decoded frames, in pixels, and whether it is mirrored."""

    top: int
    left: int
    side: int
    mirrored: bool


def sided_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes whose names tell left from right."""
    return tuple(name for name in classes if SIDED.search(WORD_STARTS.sub(" ", name.replace("_", " "))))


def draw_crop(
    rng: np.random.Generator, size: Sequence[int], short_sides: tuple[float, float], flip: bool
) -> CropWindow:
    """Draw scale and position as in "Non-local Neural Networks", section 4.1.

    The paper scales the short side to a random length in ``short_sides`` (in crops), and then cuts out a random square
    of one crop. The same square is drawn here in the frames as decoded: ::

        short side 1.25 crops   +--------------+        the square is 1 / 1.25 of the
                                |   +------+   |        picture's short side
                                |   | crop |   |
                                |   +------+   |
                                +--------------+

    Args:
        rng: Source of random numbers.
        size: Height and width of the decoded frames.
        short_sides: Range of the short side, in crops.
        flip: Whether to mirror half of the clips.
    """
    height, width = size
    side = max(1, round(min(height, width) / rng.uniform(*short_sides)))
    top = int(rng.integers(0, height - side, endpoint=True))
    left = int(rng.integers(0, width - side, endpoint=True))
    return CropWindow(top, left, side, bool(rng.random() < 0.5) and flip)


def apply_crop(frames: Tensor, window: CropWindow, crop: int) -> Tensor:
    """Cut, scale, and mirror all frames alike: (T, 3, H, W) uint8 -> (T, 3, crop, crop) uint8."""
    square = (window.top, window.left, window.side, window.side)
    clip: Tensor = F.resized_crop(frames, *square, [crop, crop], InterpolationMode.BILINEAR, antialias=True)
    return F.horizontal_flip(clip) if window.mirrored else clip


def normalise(clips: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalise with the card's mean and std: (N, T, 3, H, W) uint8 -> (N, 3, T, H, W) float32, channels last."""
    shift = torch.tensor(mean, device=clips.device).view(1, 1, 3, 1, 1)
    scale = torch.tensor(std, device=clips.device).view(1, 1, 3, 1, 1)
    # (N, T, 3, H, W) -> (N, 3, T, H, W)
    return ((clips.float() - shift) / scale).transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)


def mix_pairs(
    clips: Tensor, targets: Tensor, alpha: float, rngs: Sequence[np.random.Generator]
) -> tuple[Tensor, Tensor]:
    """Apply mixup within pairs of neighbours (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018).

    Args:
        clips: (N, 3, T, H, W).
        targets: (N, classes), the share of each class.
        alpha: Parameter of the beta distribution.
        rngs: One generator per pair. If N is odd, the last clip is not mixed.
    """
    shares = torch.ones(len(clips), device=clips.device)
    partners = torch.arange(len(clips), device=clips.device)
    for pair, rng in enumerate(rngs):
        first, second = 2 * pair, 2 * pair + 1
        shares[first] = shares[second] = float(rng.beta(alpha, alpha))
        partners[first], partners[second] = second, first
    a = shares.view(-1, 1, 1, 1, 1)
    b = shares.view(-1, 1)
    return clips * a + clips[partners] * (1 - a), targets * b + targets[partners] * (1 - b)
