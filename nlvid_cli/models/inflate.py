"""Inflation: the weights of an image network, spread over time for a C2D or I3D ResNet.

"Non-local Neural Networks", section 4: a k x k kernel becomes t x k x k. Each of its t planes is the k x k kernel
divided by t, so that a video of t equal frames gives what the image network gives for one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nlvid_cli.errors import CheckpointMismatch
from nlvid_cli.models.formats.names import TORCHVISION


def inflate(image_tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Inflate the weights of a ResNet of the same depth and width.

    Args:
        image_tensors: Weights by torchvision's names.
        network: A :class:`nlvid_cli.network.resnet3d.ResNet3d`. It is not changed. What the image network lacks
            (non-local blocks, a classifier of other classes) keeps the values that it has here.

    Returns:
        All tensors of ``network`` by its names, for ``load_weights``.

    Raises:
        CheckpointMismatch: A tensor has no place in the network or does not fit, or one of the backbone is missing.
    """
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    given = {TORCHVISION.translate(name) or name: tensor for name, tensor in image_tensors.items()}
    for name, tensor in given.items():
        if name not in tensors:
            raise CheckpointMismatch(f"inflation: the video network has no {name}; are depth and block the same?")
        if not (name.startswith("head.") and tensor.shape[0] != tensors[name].shape[0]):
            tensors[name] = _inflated(name, tensor, tensors[name])
    missing = [
        name
        for name in tensors.keys() - given.keys()
        if not name.startswith("head.") and ".nonlocal_block." not in name and "num_batches_tracked" not in name
    ]
    if missing:
        raise CheckpointMismatch(f"inflation: the image weights lack {sorted(missing)[0]} and {len(missing) - 1} more")
    return tensors


def _inflated(name: str, tensor: Tensor, like: Tensor) -> Tensor:
    """(O, I, k, k) -> (O, I, t, k, k), with t as in ``like``. Other tensors only get the shape of ``like``."""
    if tensor.dim() == 4 and like.dim() == 5 and tensor.shape == (*like.shape[:2], *like.shape[3:]):
        t = like.shape[2]
        return tensor.unsqueeze(2).repeat(1, 1, t, 1, 1) / t
    if tensor.numel() != like.numel() or tensor.shape[:1] != like.shape[:1]:
        raise CheckpointMismatch(f"inflation: {name} is {tuple(tensor.shape)}, the network needs {tuple(like.shape)}")
    return tensor.reshape(like.shape)
