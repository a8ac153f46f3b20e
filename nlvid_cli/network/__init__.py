"""The networks, as modules of torch.

A network is a file here and its line in :data:`ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from nlvid_cli.checkpoints.card import Card
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
