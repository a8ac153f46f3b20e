"""From a card to its network, with fresh weights or with those of a checkpoint.

A network is a file in this folder, its class in ``card/architecture.py``, and its line in :data:`ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nlvid_cli.card.architecture import Architecture
from nlvid_cli.card.card import Card
from nlvid_cli.errors import CheckpointMismatch, shortened
from nlvid_cli.network.inception3d import InceptionI3d
from nlvid_cli.network.resnet3d import ResNet3d

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "inception": InceptionI3d,
    "resnet": ResNet3d,
}
"""Class for each ``kind`` of architecture. It is called with the card's architecture and the number of classes."""

Shapes = dict[str, tuple[int, ...]]

AnyTensor = TypeVar("AnyTensor", Tensor, NDArray[Any])


def build_network(card: Card) -> nn.Module:
    """Build the network of a card with fresh weights, in evaluation mode."""
    return ARCHITECTURES[card.architecture.kind](card.architecture, card.labels.count).eval()


def build_on_meta(architecture: Architecture, classes: int) -> nn.Module:
    """Build a network of shapes alone, in evaluation mode: its weights are on the device ``meta``, without memory."""
    with torch.device("meta"), _WithoutInitialisation():
        return ARCHITECTURES[architecture.kind](architecture, classes).eval()


def load_network(card: Card, tensors: Mapping[str, NDArray[Any]]) -> nn.Module:
    """Build the network of a card with trained weights, in evaluation mode.

    Args:
        card: Describes the network.
        tensors: Arrays by the names of the network's parameters and buffers. The network keeps float32 arrays that are
            contiguous and writable as they are, without a copy; do not change them afterwards.

    Raises:
        CheckpointMismatch: A tensor is missing, unknown, or of another shape. This is checked before any memory is
            allocated, so that a hostile card cannot ask for more than its file holds.
    """
    network = build_on_meta(card.architecture, card.labels.count)
    _require(_shapes(network.state_dict()), tensors, card.name)
    counters = {name: torch.tensor(0) for name in network.state_dict() if _is_counter(name)}
    weights = {
        name: torch.from_numpy(np.require(array, np.float32, ["C", "W"]))
        for name, array in _without_counters(tensors).items()
    }
    network.load_state_dict(counters | weights, assign=True)  # puts them in place, without allocating and copying
    return network


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy weights into a network, strictly.

    Args:
        network: As :func:`build_network` returns it.
        tensors: Tensors by the names of the network's parameters and buffers. Batch norm's ``num_batches_tracked``,
            which only training reads, is ignored and may be missing.
        where: File that the tensors came from, for messages.

    Raises:
        CheckpointMismatch: A tensor is missing, unknown, or of another shape. Nothing is loaded then.
    """
    _require(_shapes(network.state_dict()), tensors, where)
    network.load_state_dict(_without_counters(tensors), strict=False)


def require_shapes(card: Card, tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    """Raise CheckpointMismatch unless the card's network has exactly these tensors. Needs no memory for the network."""
    _require(_shapes_by_card(card.architecture, card.labels.count), tensors, where)


def shapes_of(card: Card) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of every tensor of the card's network, by its name. Needs no memory for the network."""
    return _shapes_by_card(card.architecture, card.labels.count)


@lru_cache(maxsize=64)  # a file that does not fit its model is compared with every model of the manifest
def _shapes_by_card(architecture: Architecture, classes: int) -> Shapes:
    return _shapes(build_on_meta(architecture, classes).state_dict())


def _shapes(tensors: Mapping[str, Tensor] | Mapping[str, NDArray[Any]]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items() if not _is_counter(name)}


def _require(wanted: Shapes, tensors: Mapping[str, Tensor] | Mapping[str, NDArray[Any]], where: str) -> None:
    given = _shapes(tensors)
    faults = [f"missing {name}" for name in sorted(wanted.keys() - given.keys())]
    faults += [f"unexpected {name}" for name in sorted(given.keys() - wanted.keys())]
    faults += [
        f"{name} is {given[name]}, the network needs {wanted[name]}"
        for name in sorted(wanted.keys() & given.keys())
        if given[name] != wanted[name]
    ]
    if faults:
        raise CheckpointMismatch(f"{where}: the weights do not fit the network: {shortened(faults, 5, '; ')}")


def _is_counter(name: str) -> bool:
    return name.endswith(".num_batches_tracked")


def _without_counters(tensors: Mapping[str, AnyTensor]) -> dict[str, AnyTensor]:
    return {name: tensor for name, tensor in tensors.items() if not _is_counter(name)}


class _WithoutInitialisation(TorchFunctionMode):
    """Skips random initialisation: on the device ``meta``, torch would load its compiler for it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.normal_ or getattr(func, "__module__", "") == nn.init.__name__:
            return kwargs.get("tensor", args[0] if args else None)
        return func(*args, **kwargs)
