"""The unit that all networks are built of: a convolution, its normalisation, and perhaps a ReLU."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "affine", "none"]
"""Batch norm; a scale and shift per channel (batch norm folded into two vectors, as FAIR and LFB publish); nothing."""

Size3 = tuple[int, int, int]

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d


class ChannelAffine(nn.Module):
    """x * weight + bias per channel: AffineNd of video-nonlocal-net."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, *size) -> the same shape."""
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return x * self.weight.view(shape) + self.bias.view(shape)


BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def make_norm(kind: Norm, channels: int, eps: float, dimensions: int = 3) -> nn.Module:
    """The normalisation after a convolution over ``dimensions`` axes."""
    if kind == "batch":
        return BATCH_NORMS[dimensions](channels, eps=eps)
    return ChannelAffine(channels) if kind == "affine" else nn.Identity()


class ConvNorm(nn.Module):
    """Convolution, normalisation, and ReLU if ``relu``.

    The two layers stay reachable as ``conv`` and ``norm``, so that inference can fold the second into the first.
    """

    def __init__(self, conv: Conv, norm: nn.Module, relu: bool) -> None:
        super().__init__()
        self.conv: Conv = conv
        self.norm = norm
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, *size) -> (N, outputs, *smaller size)."""
        x = self.norm(self.conv(x))
        return F.relu(x, inplace=True) if self.relu else x


def times(size: tuple[int, ...]) -> str:
    """A size as people write it: 8 x 56 x 56."""
    return " x ".join(map(str, size))
