"""Inception-v1 I3D: the two-dimensional Inception-v1, inflated to video.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017, figure 3; the
baseline of table 3 in "Non-local Neural Networks". Convolutions and max pools pad like TensorFlow's "SAME", so that the
published weights give the published numbers at any input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlvid_cli.card.architecture import INCEPTION_POOLS, INCEPTION_WINDOWS, InceptionArchitecture
from nlvid_cli.errors import InputShapeError
from nlvid_cli.network.head import ConvolutionalHead
from nlvid_cli.network.nonlocal_block import NonLocalBlock, insert_nonlocal
from nlvid_cli.network.units import ConvNorm, Size3, kernel_text, make_norm, stride_text

STEM_CHANNELS = (64, 64, 192)
"""Output channels of conv_1a, conv_2b and conv_2c."""

MixedChannels = tuple[int, int, int, int, int, int]
"""Output channels of branch0, branch1_reduce, branch1, branch2_reduce, branch2 and branch3."""

MIXED_CHANNELS: dict[str, MixedChannels] = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}


def same_padding(size: Sequence[int], kernel: Size3, stride: Size3) -> list[tuple[int, int]]:
    """Return the zeros before and after each axis for ``out = ceil(in / stride)``; an odd one goes to the end.

    ::

        in = 6, kernel 3, stride 2: out = 3, one zero, at the end
            [0 1 2]
                [2 3 4]
                    [4 5 .]
    """
    pads = []
    for length, k, s in zip(size, kernel, stride, strict=True):
        total = max((-(-length // s) - 1) * s + k - length, 0)
        pads.append((total // 2, total - total // 2))
    return pads


class SamePadConv3d(nn.Conv3d):
    """Convolution with "SAME" padding, whose amount depends on the size of the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, T, H, W)."""
        pads = same_padding(x.shape[2:], _size3(self.kernel_size), _size3(self.stride))
        if all(low == high for low, high in pads):
            padding = tuple(low for low, _ in pads)
        else:
            # F.pad counts axes from the last one: W low, W high, H low, ...
            x = F.pad(x, [pad for pair in reversed(pads) for pad in pair])
            padding = (0, 0, 0)
        return F.conv3d(x, self.weight, self.bias, self.stride, padding)


class SamePadMaxPool3d(nn.Module):
    """Max pool with "SAME" padding by minus infinity."""

    def __init__(self, kernel: Size3, stride: Size3) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, T, H, W)."""
        low = [low for low, _ in same_padding(x.shape[2:], self.kernel, self.stride)]
        # ceil_mode clips the last window at the border: padding at the end, without a copy.
        return F.max_pool3d(x, self.kernel, self.stride, padding=low, ceil_mode=True)

    def extra_repr(self) -> str:
        """Return kernel and stride, as torch's own layers show them."""
        return f"kernel_size={self.kernel}, stride={self.stride}"

    def description(self) -> str:
        """Return kernel and stride: ``max 3x3x3, stride 2,2,2``."""
        return f"max {kernel_text(self.kernel)}{stride_text(self.stride)}"


def conv_unit(inputs: int, outputs: int, kernel: int, stride: int = 1, *, norm_eps: float) -> ConvNorm:
    """Return a convolution without bias, batch norm and a ReLU."""
    conv = SamePadConv3d(inputs, outputs, kernel, stride, bias=False)
    return ConvNorm(conv, make_norm("batch", outputs, norm_eps), relu=True)


class Mixed(nn.Module):
    """Inception block: four parallel branches, concatenated over channels."""

    def __init__(self, inputs: int, channels: MixedChannels, *, norm_eps: float) -> None:
        super().__init__()
        c0, c1_reduce, c1, c2_reduce, c2, c3 = channels
        self.branch0 = conv_unit(inputs, c0, 1, norm_eps=norm_eps)
        self.branch1_reduce = conv_unit(inputs, c1_reduce, 1, norm_eps=norm_eps)
        self.branch1 = conv_unit(c1_reduce, c1, 3, norm_eps=norm_eps)
        self.branch2_reduce = conv_unit(inputs, c2_reduce, 1, norm_eps=norm_eps)
        self.branch2 = conv_unit(c2_reduce, c2, 3, norm_eps=norm_eps)
        self.pool = SamePadMaxPool3d((3, 3, 3), (1, 1, 1))
        self.branch3 = conv_unit(inputs, c3, 1, norm_eps=norm_eps)
        self.out_channels = c0 + c1 + c2 + c3
        self.nonlocal_block: nn.Module = nn.Identity()  # replaced by insert_nonlocal

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) -> (N, c0 + c1 + c2 + c3, T, H, W)."""
        branches = [
            self.branch0(x),
            self.branch1(self.branch1_reduce(x)),
            self.branch2(self.branch2_reduce(x)),
            self.branch3(self.pool(x)),
        ]
        joined: Tensor = self.nonlocal_block(torch.cat(branches, dim=1))
        return joined

    def description(self) -> str:
        """Return the channels of each branch, and whether a non-local block follows."""
        branches = (self.branch0, self.branch1_reduce, self.branch1, self.branch2_reduce, self.branch2, self.branch3)
        c0, r1, c1, r2, c2, c3 = (unit.conv.out_channels for unit in branches)
        block = ", non-local" if isinstance(self.nonlocal_block, NonLocalBlock) else ""
        return f"inception: {c0}; {r1} > {c1}; {r2} > {c2}; pool > {c3}{block}"


class InceptionI3d(nn.Module):
    """Inception-v1 I3D.

    Args:
        architecture: The card's architecture.
        classes: Number of labels.
    """

    def __init__(self, architecture: InceptionArchitecture, classes: int) -> None:
        super().__init__()
        eps = architecture.norm_eps
        first, second, third = STEM_CHANNELS
        self.conv_1a = conv_unit(3, first, 7, 2, norm_eps=eps)
        self.pool_2a = _pool("pool_2a")
        self.conv_2b = conv_unit(first, second, 1, norm_eps=eps)
        self.conv_2c = conv_unit(second, third, 3, norm_eps=eps)
        self.pool_3a = _pool("pool_3a")
        channels = third
        for name in chain.from_iterable(architecture.stages.values()):
            if name in INCEPTION_POOLS:
                self.add_module(INCEPTION_POOLS[name], _pool(INCEPTION_POOLS[name]))
            mixed = Mixed(channels, MIXED_CHANNELS[name], norm_eps=eps)
            self.add_module(name, mixed)
            channels = mixed.out_channels
        self.head = ConvolutionalHead(channels, classes, architecture.head)
        if architecture.nonlocal_blocks:
            insert_nonlocal(self, architecture.nonlocal_blocks.after, architecture.nonlocal_blocks, eps)

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature map: (N, 1024, T/8, H/32, W/32), rounded up, for the whole network."""
        for name, layer in self.named_children():
            if name != "head":
                x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return logits at each position: (N, 3, T, H, W) -> (N, classes, T', H', W').

        Raises:
            InputShapeError: The clip is too short or too small for the average pool.
        """
        if x.dim() != 5 or x.shape[1] != 3:
            raise InputShapeError(f"conv_1a: needs clips of shape (N, 3, T, H, W), got {tuple(x.shape)}")
        logits: Tensor = self.head(self.features(x))
        return logits


def _pool(name: str) -> SamePadMaxPool3d:
    window = INCEPTION_WINDOWS[name]
    return SamePadMaxPool3d(window.kernel, window.stride)


def _size3(value: tuple[int, ...]) -> Size3:
    t, h, w = value
    return t, h, w
