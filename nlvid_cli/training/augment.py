"""One random look at a clip: where it begins, how large it is, which part of it, and whether it is mirrored.

One decision holds for all frames of a clip. The numbers come from a generator that is keyed by what is looked at, so
neither the order of the workers nor the number of processes changes them.
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
"""Names of actions that mirroring would turn into others."""

CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins within a name such as ``SwipeLeft``."""


@dataclass(frozen=True)
class Look:
    """A part of the picture, in pixels of the decoded frames, and whether it is mirrored."""

    top: int
    left: int
    side: int
    mirrored: bool


def sided_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes whose names tell left from right."""
    return tuple(name for name in classes if SIDED.search(CAMEL_CASE.sub(" ", name.replace("_", " "))))


def draw_look(rng: np.random.Generator, size: Sequence[int], short_sides: tuple[float, float], flip: bool) -> Look:
    """Scale and crop jitter of "Non-local Neural Networks", section 4.1.

    The short side becomes random in ``short_sides`` (in units of the crop), and a random square of one crop is cut out.
    Here that square is drawn in the picture as decoded: ::

        short side 1.25 crops   +--------------+        the square is 1 / 1.25 of the
                                |   +------+   |        picture's short side
                                |   | crop |   |
                                |   +------+   |
                                +--------------+

    Args:
        rng: to draw from.
        size: height and width of the decoded frames.
        short_sides: range to draw from.
        flip: whether to mirror every other clip.
    """
    height, width = size
    side = max(1, round(min(height, width) / rng.uniform(*short_sides)))
    top = int(rng.integers(0, height - side, endpoint=True))
    left = int(rng.integers(0, width - side, endpoint=True))
    return Look(top, left, side, bool(rng.random() < 0.5) and flip)


def apply_look(frames: Tensor, look: Look, crop: int) -> Tensor:
    """Cut, scale and mirror all frames alike: (T, 3, H, W) uint8 -> (T, 3, crop, crop) uint8."""
    clip: Tensor = F.resized_crop(
        frames, look.top, look.left, look.side, look.side, [crop, crop], InterpolationMode.BILINEAR, antialias=True
    )
    return F.horizontal_flip(clip) if look.mirrored else clip


def normalise(clips: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(N, T, 3, H, W) uint8 -> (N, 3, T, H, W) float32, as the model card says; on the clips' device, channels last."""
    shift = torch.tensor(mean, device=clips.device).view(1, 1, 3, 1, 1)
    scale = torch.tensor(std, device=clips.device).view(1, 1, 3, 1, 1)
    # (N, T, 3, H, W) -> (N, 3, T, H, W)
    return ((clips.float() - shift) / scale).transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)


def mix_pairs(
    clips: Tensor, targets: Tensor, alpha: float, rngs: Sequence[np.random.Generator]
) -> tuple[Tensor, Tensor]:
    """Mixup within pairs of neighbours (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018).

    Args:
        clips: (N, 3, T, H, W).
        targets: (N, classes), shares of each class.
        alpha: of the beta distribution.
        rngs: one per pair; where N is odd, the last clip stays as it is.
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
