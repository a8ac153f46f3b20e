"""The inference form of a network: the same function, with less work.

Batch norm is folded into the convolution before it, max pools of stride 1 run axis by axis, and channels come last in
memory. Everything but the head computes in the chosen precision. The head stays in fp32, because it is cheap and
produces the scores.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from nlvid_cli.network.inception3d import SamePadMaxPool3d
from nlvid_cli.network.units import ChannelAffine, ConvNorm


class SeparableMaxPool3d(nn.Module):
    """Max pool of odd kernel, stride 1 and "SAME" padding: maxima along one axis after another.

    The maximum over a box is a maximum of maxima, so the result is the same to the bit. A CPU compares whole rows of
    channels at once this way, which is about three times as fast as torch's own kernel.
    """

    def __init__(self, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> the same shape."""
        if x.requires_grad:  # maxima that are written in place have no gradient
            return F.max_pool3d(x, self.kernel, stride=1, padding=[kernel // 2 for kernel in self.kernel])
        for axis, kernel in zip((2, 3, 4), self.kernel, strict=True):
            length = x.shape[axis]
            pooled = x.clone()
            for offset in range(1, min(kernel // 2, length - 1) + 1):
                #  pooled[i] = max(x[i - offset], x[i], x[i + offset]) wherever these exist
                low, high = slice(0, length - offset), slice(offset, length)
                for to, source in ((low, high), (high, low)):
                    part = pooled.narrow(axis, to.start, to.stop - to.start)
                    torch.maximum(part, x.narrow(axis, source.start, source.stop - source.start), out=part)
            x = pooled
        return x


def inference_form(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Return a copy of a network in its inference form, in evaluation mode.

    Args:
        network: Network as ``build_network`` returns it. It is not changed.
        device: Device of the copy.
        dtype: Precision of everything but the head, which stays in float32.
    """
    # the copy's parameters are its own, but not their memory: all that is changed below gets new memory
    shared: dict[int, object] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    shared |= {id(buffer): buffer for buffer in network.buffers()}
    network = copy.deepcopy(network, shared).eval()
    fold_norms(network)
    if device.type == "cpu":
        for module in list(network.modules()):
            _separate_pools(module)
    network = network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last_3d)
    network.get_submodule("head").to(dtype=torch.float32)
    return network


def fold_norms(network: nn.Module) -> None:
    """Fold each normalisation into the convolution before it, in place."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            _fold(module)


def _fold(unit: ConvNorm) -> None:
    norm = unit.norm
    if isinstance(norm, nn.BatchNorm3d):
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        unit.conv.weight, unit.conv.bias = fuse_conv_bn_weights(
            unit.conv.weight, unit.conv.bias, mean, variance, norm.eps, norm.weight, norm.bias
        )
        unit.norm = nn.Identity()
    elif isinstance(norm, ChannelAffine):
        scale, shift = norm.weight, norm.bias
        bias = torch.zeros_like(shift) if unit.conv.bias is None else unit.conv.bias
        shape = (-1,) + (1,) * (unit.conv.weight.dim() - 1)
        unit.conv.weight = nn.Parameter(unit.conv.weight.detach() * scale.view(shape), requires_grad=False)
        unit.conv.bias = nn.Parameter((bias * scale + shift).detach(), requires_grad=False)
        unit.norm = nn.Identity()


def _separate_pools(parent: nn.Module) -> None:
    for name, child in parent.named_children():
        if isinstance(child, SamePadMaxPool3d) and child.stride == (1, 1, 1):
            setattr(parent, name, SeparableMaxPool3d(child.kernel))
