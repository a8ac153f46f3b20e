"""Layers that treat the batches of all processes as one, so that several processes compute what one would.

Batch norm takes its statistics over all processes. Dropout draws one mask, of which each process takes its part.
torch's SyncBatchNorm does the former on GPUs only.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass
class PassPosition:
    """Position of a forward pass in the run. The loop updates it before each pass.

    Attributes:
        seed: Random seed of the run.
        step: Optimiser step, from 0.
        part: Forward pass within the step, from 0.
        rank: Number of this process.
        ranks: Number of processes.
    """

    seed: int
    step: int = 0
    part: int = 0
    rank: int = 0
    ranks: int = 1


class GlobalDropout(nn.Module):
    """Dropout whose mask depends only on the seed, the step, and the place in the batch.

    Args:
        share: Share of the values that become zero.
        position: Position in the run, updated by the loop.
        number: Number of the layer, so that two layers of a network draw different masks.
    """

    def __init__(self, share: float, position: PassPosition, number: int) -> None:
        super().__init__()
        self.share, self.position, self.number = share, position, number

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> the same shape, where N is this process's part of the batch."""
        if not self.training or self.share == 0:
            return x
        at = self.position
        generator = torch.Generator().manual_seed(_mixed_seed(at.seed, at.step, at.part, self.number))
        whole = torch.rand((at.ranks * len(x), *x.shape[1:]), generator=generator)
        kept = whole[at.rank * len(x) : (at.rank + 1) * len(x)] >= self.share
        return x * kept.to(x.device) / (1 - self.share)


class GlobalBatchNorm(nn.BatchNorm3d):
    """Batch norm over (N, T, H, W) of all processes, on any device. All must have the same number of values."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape."""
        if not self.training:
            return super().forward(x)
        ranks = dist.get_world_size()
        with torch.autocast(x.device.type, enabled=False):
            values = x.to(torch.promote_types(x.dtype, torch.float32))
            axes = (0, 2, 3, 4)
            mean = _SumOverRanks.apply(values.mean(axes)) / ranks
            centred = values - _per_channel(mean)
            variance = _SumOverRanks.apply(centred.square().mean(axes)) / ranks
            self._update(mean.detach(), variance.detach(), ranks * x.numel() // x.shape[1])
            scale = self.weight * torch.rsqrt(variance + self.eps)
            return (centred * _per_channel(scale) + _per_channel(self.bias)).to(x.dtype)

    def _update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics, with the unbiased variance, as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)
        self.num_batches_tracked.add_(1)


class _SumOverRanks(torch.autograd.Function):
    """Sum of a tensor over all processes. Its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


def use_global_batch(
    network: nn.Module, position: PassPosition, dropout: float, frozen: Set[nn.Module], on_gpu: bool
) -> None:
    """Replace the batch norm and dropout layers of a network by those above.

    Args:
        network: Network to change in place.
        position: Position in the run, updated by the loop.
        dropout: Share of the values that dropout sets to zero.
        frozen: Layers that do not take statistics from the batch; they stay.
        on_gpu: Whether torch's SyncBatchNorm works.
    """
    layers = [(name, layer) for name, layer in network.named_modules() if layer not in frozen]
    for number, (name, layer) in enumerate(layers):
        if isinstance(layer, nn.Dropout):
            network.set_submodule(name, GlobalDropout(dropout, position, number))
        elif isinstance(layer, nn.BatchNorm3d) and position.ranks > 1:
            network.set_submodule(name, _synchronised(layer, on_gpu))


def _synchronised(layer: nn.BatchNorm3d, on_gpu: bool) -> nn.Module:
    if on_gpu:
        own: nn.BatchNorm3d | nn.SyncBatchNorm = nn.SyncBatchNorm(layer.num_features, layer.eps, layer.momentum)
    else:
        own = GlobalBatchNorm(layer.num_features, layer.eps, layer.momentum)
    own.load_state_dict(layer.state_dict())
    return own.to(layer.weight.device, layer.weight.dtype)


def _per_channel(vector: Tensor) -> Tensor:
    return vector.view(1, -1, 1, 1, 1)  # (C,) -> (1, C, 1, 1, 1)


def _mixed_seed(*numbers: int) -> int:
    """Mix several numbers into one seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
