"""What all networks are built of: a convolution, its normalisation and an optional ReLU."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "affine", "none"]
"""Batch norm; a scale and shift per channel (batch norm folded into two vectors, as FAIR and LFB publish); nothing."""

Size3 = tuple[int, int, int]

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d


@runtime_checkable
class Described(Protocol):
    """A layer that says what it is."""

    def description(self) -> str:
        """Return the layer's entry in a table like the paper's table 1."""


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
    """Return the normalisation that follows a convolution over ``dimensions`` axes."""
    if kind == "batch":
        return BATCH_NORMS[dimensions](channels, eps=eps)
    return ChannelAffine(channels) if kind == "affine" else nn.Identity()


class ConvNorm(nn.Module):
    """Convolution, normalisation, and ReLU if ``relu``.

    The layers ``conv`` and ``norm`` stay separate, so that inference can fold the second into the first.
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

    def description(self) -> str:
        """Return kernel, channels and stride: ``3x7x7, 64, stride 1,2,2``."""
        return f"{kernel_text(self.conv.kernel_size)}, {self.conv.out_channels}{stride_text(self.conv.stride)}"


def size_text(size: tuple[int, ...]) -> str:
    """Format a size: ``8 x 56 x 56``."""
    return " x ".join(map(str, size))


def kernel_text(kernel: int | tuple[int, ...]) -> str:
    """Format a kernel: ``3x1x1``."""
    return "x".join(map(str, (kernel,) * 3 if isinstance(kernel, int) else kernel))


def stride_text(stride: int | tuple[int, ...]) -> str:
    """Format a stride, to be appended: ``, stride 1,2,2``; nothing for a stride of 1."""
    strides = (stride,) * 3 if isinstance(stride, int) else stride
    return "" if set(strides) == {1} else f", stride {','.join(map(str, strides))}"
