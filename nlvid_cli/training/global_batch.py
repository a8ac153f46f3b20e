"""Layers that see the batch of all processes as one: what one process computes, several compute together.

Batch norm takes its statistics over all of them, and dropout draws one mask for all, of which each takes its part.
torch's own SyncBatchNorm does the first on GPUs only.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass
class Place:
    """Where the run is, told to the layers before each forward pass.

    Attributes:
        seed: of the run.
        step: of the optimiser, from 0.
        part: forward pass within the step, from 0.
        rank: of this process.
        ranks: number of processes.
    """

    seed: int
    step: int = 0
    part: int = 0
    rank: int = 0
    ranks: int = 1


class GlobalDropout(nn.Module):
    """Dropout whose mask depends on the seed, the step and the place in the batch alone.

    Args:
        share: of the values that become zero.
        place: shared with the loop.
        number: tells several such layers of a network apart.
    """

    def __init__(self, share: float, place: Place, number: int) -> None:
        super().__init__()
        self.share, self.place, self.number = share, place, number

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> the same shape, N being this process's part of the batch."""
        if not self.training or self.share == 0:
            return x
        place = self.place
        generator = torch.Generator().manual_seed(_seed_of(place.seed, place.step, place.part, self.number))
        whole = torch.rand((place.ranks * len(x), *x.shape[1:]), generator=generator)
        kept = whole[place.rank * len(x) : (place.rank + 1) * len(x)] >= self.share
        return x * kept.to(x.device) / (1 - self.share)


class GlobalBatchNorm(nn.BatchNorm3d):
    """Batch norm over (N, T, H, W) of all processes, on any device; each must have as many values as the others."""

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
        """Running statistics, with the unbiased variance, as torch keeps them."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)
        self.num_batches_tracked.add_(1)


class _SumOverRanks(torch.autograd.Function):
    """Sum of a tensor over all processes; its gradient is the sum of theirs."""

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


def use_global_batch(network: nn.Module, place: Place, dropout: float, frozen: Set[nn.Module], on_gpu: bool) -> None:
    """Exchange the layers of a network for those above.

    Args:
        network: changed in place, where it can be.
        place: that dropout reads.
        dropout: share of values that dropout sets to zero.
        frozen: layers whose statistics are not taken from the batch.
        on_gpu: whether torch's own synchronised batch norm works.
    """
    layers = [(name, layer) for name, layer in network.named_modules() if layer not in frozen]
    for number, (name, layer) in enumerate(layers):
        if isinstance(layer, nn.Dropout):
            network.set_submodule(name, GlobalDropout(dropout, place, number))
        elif isinstance(layer, nn.BatchNorm3d) and place.ranks > 1:
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


def _seed_of(*numbers: int) -> int:
    """One seed out of several numbers, well mixed."""
    import numpy as np

    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
