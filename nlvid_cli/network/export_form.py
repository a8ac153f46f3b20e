"""The ONNX form of a network: the same function, in plain operators that every runtime has.

Batch norm is folded into the convolution before it. "SAME" padding, whose amount depends on the size of the input,
becomes ONNX's attribute of the same meaning (``auto_pad = SAME_UPPER``), so that one graph is right at every size. The
non-local blocks use the formulas that ``pairwise.py`` has for exports.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlvid_cli.card.card import Card
from nlvid_cli.network.head import SCORES, mean_logits
from nlvid_cli.network.inception3d import SamePadConv3d, SamePadMaxPool3d
from nlvid_cli.network.inference import fold_norms
from nlvid_cli.network.observe import observe


class ExportForm(nn.Module):
    """The function of the graph: from clips to the scores and logits of each view.

    Args:
        network: Network with its weights. It is not changed.
        card: Card of the model.
        dtype: Precision of everything but the head and the sums of the non-local blocks, which stay in float32.
        with_preprocess: Whether the input is pixels, which the graph normalises first.
        features: Whether to return the last feature map, and queries and keys of each non-local block, as well.
    """

    def __init__(
        self, network: nn.Module, card: Card, dtype: torch.dtype, with_preprocess: bool, features: bool = False
    ) -> None:
        super().__init__()
        network = copy.deepcopy(network).eval().requires_grad_(False)
        fold_norms(network)
        _replace_same_padding(network)
        self.network = network.to(dtype)
        self.network.get_submodule("head").to(torch.float32)
        self.pixels = Pixels(card) if with_preprocess else nn.Identity()
        self.dtype = dtype
        self._blocks = inner_blocks(card) if features else None
        self._scores = SCORES[card.architecture.head.scores]
        self.eval()

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        """Return scores and logits, both (N, classes).

        Clips are (N, 3, T, H, W) float32 or, as pixels, (N, T, H, W, 3) uint8.

        With ``features``, the last feature map and the queries and keys of each block follow, all in float32.
        """
        clips = self.pixels(video).to(self.dtype)
        if self._blocks is None:
            logits = self.network(clips)
            return self._scores(logits), mean_logits(logits)
        observed = observe(self.network, clips, self._blocks)
        inner = (observed.features, *(x for block in self._blocks for x in observed.attention[block]))
        return self._scores(observed.logits), mean_logits(observed.logits), *(x.to(torch.float32) for x in inner)


def inner_blocks(card: Card) -> tuple[str, ...]:
    """Names of the non-local blocks whose queries and keys an export with features returns, in order."""
    blocks = card.architecture.nonlocal_blocks
    return () if blocks is None else blocks.after


class Pixels(nn.Module):
    """Preprocessing of pixels: (value - mean) / std, and the order of axes."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.tensor(card.preprocess.mean))
        self.std = nn.Buffer(torch.tensor(card.preprocess.std))

    def forward(self, video: Tensor) -> Tensor:
        """(N, T, H, W, 3) uint8 RGB -> (N, 3, T, H, W) float32."""
        normalised = (video.to(torch.float32) - self.mean) / self.std
        return normalised.permute(0, 4, 1, 2, 3)


Attributes = dict[str, int | float | str | bool | Sequence[int] | Sequence[float] | Sequence[str] | Sequence[bool]]
"""Attributes of an ONNX operator."""


class _SameConv(nn.Module):
    """ONNX's convolution with "SAME" padding and a stride."""

    def __init__(self, conv: SamePadConv3d) -> None:
        super().__init__()
        assert conv.bias is not None  # fold_norms gave it one
        self.weight, self.bias = conv.weight, conv.bias
        self.kernel, self.stride = list(conv.kernel_size), list(conv.stride)

    def forward(self, x: Tensor) -> Tensor:
        size = [x.shape[0], self.weight.shape[0], *_strided(x, self.stride)]
        attributes: Attributes = {"kernel_shape": self.kernel, "strides": self.stride, "auto_pad": "SAME_UPPER"}
        inputs = (x, self.weight, self.bias)
        return torch.onnx.ops.symbolic("Conv", inputs, attributes, dtype=x.dtype, shape=size, version=11)


class _SameMaxPool(nn.Module):
    """ONNX's max pool with "SAME" padding, which never becomes a maximum."""

    def __init__(self, pool: SamePadMaxPool3d) -> None:
        super().__init__()
        self.kernel, self.stride = list(pool.kernel), list(pool.stride)

    def forward(self, x: Tensor) -> Tensor:
        size = [*x.shape[:2], *_strided(x, self.stride)]
        attributes: Attributes = {"kernel_shape": self.kernel, "strides": self.stride, "auto_pad": "SAME_UPPER"}
        return torch.onnx.ops.symbolic("MaxPool", (x,), attributes, dtype=x.dtype, shape=size, version=12)


def _strided(x: Tensor, stride: list[int]) -> list[int]:
    """Return (T, H, W) after a stride, rounded up."""
    return [(length + step - 1) // step for length, step in zip(x.shape[2:], stride, strict=True)]


def _centred(conv: SamePadConv3d) -> nn.Conv3d:
    """Return a convolution with fixed padding: at stride 1, "SAME" adds equally many zeros on both sides."""
    size = (conv.kernel_size[0], conv.kernel_size[1], conv.kernel_size[2])
    pads = (size[0] // 2, size[1] // 2, size[2] // 2)
    centred = nn.Conv3d(conv.in_channels, conv.out_channels, size, padding=pads, device="meta")
    centred.weight, centred.bias = conv.weight, conv.bias
    return centred


def _replace_same_padding(parent: nn.Module) -> None:
    for name, child in parent.named_children():
        if isinstance(child, SamePadConv3d):
            setattr(parent, name, _SameConv(child) if max(child.stride) > 1 else _centred(child))
        elif isinstance(child, SamePadMaxPool3d):
            setattr(parent, name, _SameMaxPool(child))
        else:
            _replace_same_padding(child)
