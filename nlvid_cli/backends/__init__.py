"""What runs a network: numpy clips in, numpy scores out.

A backend is a file here and its line in :data:`BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Card

Array = NDArray[np.float32]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
BackendName = Literal["auto", "torch", "onnx"]


class Outputs(NamedTuple):
    """What a network puts out for views.

    Attributes:
        logits: (views, classes), before softmax or sigmoid, averaged over the positions of a convolutional head.
        scores: (views, classes) in [0, 1].
    """

    logits: Array
    scores: Array


class Backend(Protocol):
    """A model, ready to run on a device.

    Attributes:
        name: key of the backend in :data:`BACKENDS`.
        device: for example ``cpu`` or ``cuda:0``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, as really computed.
        views_per_batch: how many views are best handed over at once.
    """

    name: str
    device: str
    precision: str
    views_per_batch: int

    def outputs(self, clips: Array) -> Outputs:
        """Run the network on normalised clips, (views, 3, frames, height, width)."""


def _open_torch(card: Card, path: Path, device: str, precision: Precision) -> Backend:
    from nlvid_cli.backends.torch_backend import TorchBackend
    from nlvid_cli.models.model_file import open_checkpoint

    return TorchBackend(card, open_checkpoint(path)[1], device, precision)


def _open_onnx(card: Card, path: Path, device: str, precision: Precision) -> Backend:
    from nlvid_cli.backends.onnx_backend import OnnxBackend

    return OnnxBackend(card, path, device, precision)


BACKENDS: dict[str, Callable[[Card, Path, str, Precision], Backend]] = {
    "torch": _open_torch,
    "onnx": _open_onnx,
}
"""From name to what opens a file of that backend, a ``.safetensors`` or an ``.onnx`` one; each is imported when it is
asked for."""
