"""What runs a network: numpy clips in, numpy scores out.

A backend is a file here and its line in :data:`BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.checkpoints.card import Card

Array = NDArray[np.float32]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Backend(Protocol):
    """A model, ready to run on a device.

    Attributes:
        name: key of the backend in :data:`BACKENDS`.
        device: for example ``cpu`` or ``cuda:0``.
        precision: ``fp32``, ``bf16`` or ``fp16``, as really computed.
        views_per_batch: how many views are best handed over at once.
    """

    name: str
    device: str
    precision: str
    views_per_batch: int

    def scores(self, clips: Array) -> Array:
        """Normalised clips (views, 3, frames, height, width) to scores (views, classes) in [0, 1]."""

    def logits(self, clips: Array) -> Array:
        """The same before softmax or sigmoid, averaged over the positions of a convolutional head."""


def _torch_backend(card: Card, tensors: Mapping[str, Array], device: str, precision: Precision) -> Backend:
    from nlvid_cli.backends.torch_backend import TorchBackend

    return TorchBackend(card, tensors, device, precision)


BACKENDS: dict[str, Callable[[Card, Mapping[str, Array], str, Precision], Backend]] = {
    "torch": _torch_backend,
}
"""From name to what builds the backend; each is imported when it is asked for."""
