"""The networks, as modules of torch.

A network is a file here and its line in :data:`ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nlvid_cli.card.card import Card
from nlvid_cli.errors import CheckpointMismatch
from nlvid_cli.network.inception3d import InceptionI3d
from nlvid_cli.network.resnet3d import ResNet3d

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "inception": InceptionI3d,
    "resnet": ResNet3d,
}
"""From the kind in the card to the class, called with that part of the card and the number of classes."""


def build_network(card: Card) -> nn.Module:
    """The network of the card with fresh weights, in evaluation mode."""
    return ARCHITECTURES[card.architecture.kind](card.architecture, card.labels.count).eval()


def load_network(card: Card, tensors: Mapping[str, NDArray[Any]]) -> nn.Module:
    """The network of the card with trained weights, in evaluation mode.

    Before it is made, the tensors must be exactly those that it needs: a card out of a file from outside gets no more
    memory than the file has tensors for.

    Raises:
        CheckpointMismatch: if a tensor is missing, is not known, or has another shape.
    """
    require_shapes(card, tensors, card.name)
    with _WithoutInitialisation():
        network = build_network(card)
    load_weights(network, {name: torch.from_numpy(array) for name, array in tensors.items()}, card.name)
    return network


def require_shapes(card: Card, tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    """Check that tensors are those of the card's network, without memory for it; errors as for load_weights."""
    with torch.device("meta"), _WithoutInitialisation():
        network = build_network(card)
    require_fit(network, {name: tensor.shape for name, tensor in tensors.items()}, where)


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy ``tensors`` into ``network``, strictly.

    Args:
        network: as :func:`build_network` gives it.
        tensors: by the names of the network's parameters and buffers. Counters of batches, which nothing but
            training reads, may be absent.
        where: file that the tensors came from, for messages.

    Raises:
        CheckpointMismatch: if a tensor is missing, is not known, or has another shape.
    """
    given = _without_counters(tensors)
    require_fit(network, {name: tuple(tensor.shape) for name, tensor in given.items()}, where)
    network.load_state_dict(given, strict=False)


def require_fit(network: nn.Module, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Check that tensors of these names and shapes are exactly those of the network; errors as for load_weights."""
    wanted = {name: tuple(tensor.shape) for name, tensor in _without_counters(network.state_dict()).items()}
    faults = [f"missing {name}" for name in sorted(wanted.keys() - shapes.keys())]
    faults += [f"unexpected {name}" for name in sorted(shapes.keys() - wanted.keys())]
    faults += [
        f"{name} is {shapes[name]}, the network needs {wanted[name]}"
        for name in sorted(wanted.keys() & shapes.keys())
        if shapes[name] != wanted[name]
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CheckpointMismatch(f"{where}: weights and network do not fit: {'; '.join(faults[:5])}{more}")


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}


class _WithoutInitialisation(TorchFunctionMode):
    """Leaves out random numbers, which shapes do not need and weights from a file replace.

    On the device ``meta`` torch would load its compiler for them.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.normal_ or getattr(func, "__module__", "") == nn.init.__name__:
            return kwargs.get("tensor", args[0] if args else None)
        return func(*args, **kwargs)
