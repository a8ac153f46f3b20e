"""Run a network: numpy views in, numpy outputs out.

A backend is a file here and its line in :data:`BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Card

Array = NDArray[np.float32]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
BackendName = Literal["auto", "torch", "onnx"]

Grid = tuple[int, int, int]
"""Size (T, H, W) of a feature map."""


@dataclass(frozen=True)
class Want:
    """What to return besides logits and scores.

    Attributes:
        features: Whether to return the last feature map.
        attention: By name of a non-local block, the query positions whose attention to return: flat indices into the
            T * H * W positions of the block's input, or None for all of them. Blocks are named as in the card, for
            example ``mixed_4c`` or ``res4.1``.
    """

    features: bool = False
    attention: Mapping[str, Sequence[int] | None] = field(default_factory=dict)


SCORES_ONLY = Want()


@dataclass(frozen=True, eq=False)
class Features:
    """The last feature map before the head.

    Attributes:
        map: (views, channels, T', H', W').
        average: (views, channels), the mean of the map over its positions.
    """

    map: Array
    average: Array


@dataclass(frozen=True, eq=False)
class Attention:
    """How much each query position of a non-local block takes from each key position.

    The weights are f(x_i, x_j) / C(x) of "Non-local Neural Networks", equation 1, as the forward pass uses them:
    weights @ g is the block's y. Rows of the softmax forms sum to 1. Rows of the dot product and of the concatenation
    do not, and those of the dot product may be negative. Keys that a query does not see have the weight 0.

    Attributes:
        weights: (views, queries, keys). Keys are flat indices into ``key_grid``.
        query_grid: Size of the block's input.
        key_grid: Size of the map of keys, smaller where the block sub-samples.
    """

    weights: Array
    query_grid: Grid
    key_grid: Grid


@dataclass(frozen=True, eq=False)
class BlockChange:
    """What a non-local block does at each position of one view, for one class.

    Attributes:
        size: (T, H, W), the length of W y, which the block adds there ("Non-local Neural Networks", equation 6).
        effect: (T, H, W), W y times the gradient of the class's logit, summed over channels: how much the addition
            raises the logit, to first order. Negative where it lowers it.
        ignores_weights: Whether the block adds the same everywhere, whatever it attends to, as a fresh block does.
    """

    size: Array
    effect: Array
    ignores_weights: bool


@dataclass(frozen=True, eq=False)
class Gradients:
    """Maps of one view, and gradients of the logit of one class.

    Attributes:
        logit: The logit, averaged over the positions of a convolutional head.
        features: (channels, T', H', W'), the last map before the head.
        feature_gradient: Its gradient, of the same shape.
        blocks: By name of each block that was asked for.
    """

    logit: float
    features: Array
    feature_gradient: Array
    blocks: Mapping[str, BlockChange]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of a network for some views.

    Attributes:
        logits: (views, classes), before softmax or sigmoid, averaged over the positions of a convolutional head.
        scores: (views, classes) in [0, 1].
        features: The last feature map, if asked for.
        attention: By name of each block that was asked for.
    """

    logits: Array
    scores: Array
    features: Features | None = None
    attention: Mapping[str, Attention] | None = None

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Join the outputs of at least one batch, all with the same parts and the same size of clips."""
        first = batches[0]
        if len(batches) == 1:
            return first
        features, attention = None, None
        if first.features is not None:
            parts = [batch.features for batch in batches if batch.features is not None]
            features = Features(
                *(np.concatenate([getattr(part, name) for part in parts]) for name in ("map", "average"))
            )
        if first.attention is not None:
            rows = [batch.attention for batch in batches if batch.attention is not None]
            attention = {
                name: Attention(np.concatenate([row[name].weights for row in rows]), one.query_grid, one.key_grid)
                for name, one in first.attention.items()
            }
        logits, scores = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("logits", "scores"))
        return cls(logits, scores, features, attention)


class Backend(Protocol):
    """A model, ready to run on a device.

    Attributes:
        name: Key of the backend in :data:`BACKENDS`.
        device: For example ``cpu`` or ``cuda:0``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, as really computed.
        views_per_batch: Number of views to pass at once for the best speed.
    """

    name: str
    device: str
    precision: str
    views_per_batch: int

    def outputs(self, views: Array, want: Want = SCORES_ONLY) -> Outputs:
        """Run the network.

        Args:
            views: (views, 3, frames, height, width), normalised.
            want: What to return besides logits and scores.

        Raises:
            UsageError: The model has no non-local block, an ONNX file was exported without features, or a query
                position is outside the block's input.
            UnknownName: No block has that name.
            InputShapeError: The clips are too short or too small for the network.
            DeviceError: The device has too little memory for one view.
        """

    def gradients(self, view: Array, label: int, blocks: Sequence[str] = ()) -> Gradients:
        """Run the network forward, and backward from one class.

        Args:
            view: (1, 3, frames, height, width), normalised.
            label: Index of the class.
            blocks: Names of non-local blocks.

        Raises:
            UsageError: The backend computes no gradients, or the model has no non-local block.
            UnknownName: No block has that name.
            InputShapeError: The clip is too short or too small for the network.
            DeviceError: The device has too little memory.
        """


def _open_torch(card: Card, path: Path, device: str, precision: Precision) -> Backend:
    from nlvid_cli.backends.torch_backend import TorchBackend
    from nlvid_cli.models.model_file import open_checkpoint

    return TorchBackend(card, open_checkpoint(path)[1], device, precision)


def _open_onnx(card: Card, path: Path, device: str, precision: Precision) -> Backend:
    from nlvid_cli.backends.onnx_backend import OnnxBackend

    return OnnxBackend(card, path, device, precision)


BACKENDS: dict[str, Callable[[Card, Path, str, Precision], Backend]] = {
    "torch": _open_torch,  # a .safetensors file
    "onnx": _open_onnx,  # an .onnx file
}
