"""Where a convolution must not be trained in bf16 on a CPU: on maps that are smaller than its kernel.

oneDNN's gradient of such a kernel in bf16 is memory that nobody wrote: NaN, or weights of 1e25 after a few steps (seen
with torch 2.14 for kernels of 3 x 1 x 1 on maps of two frames, 5 x 1 x 1 on two to four). A clip of 8 or 16 frames has
such maps in the last stages of an I3D. Scores are right, so only training needs this.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SafeConv3d(nn.Conv3d):
    """A convolution that computes in fp32 where its kernel is larger than its map, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) -> (N, outputs, T', H', W')."""
        if all(size >= kernel for size, kernel in zip(x.shape[2:], self.kernel_size, strict=True)):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


def make_safe(network: nn.Module) -> None:
    """Exchange the class of all convolutions over time and space in place. Weights and their names stay."""
    for layer in network.modules():
        if type(layer) is nn.Conv3d and max(layer.kernel_size) > 1:
            layer.__class__ = SafeConv3d
