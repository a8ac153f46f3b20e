"""Inflation: the weights of an image network, spread over time for a C2D or I3D ResNet.

"Non-local Neural Networks", section 4: a k x k kernel becomes t x k x k. Each of its t planes is the k x k kernel
divided by t, so that a video of t equal frames gives what the image network gives for one of them. No command uses this
yet: it is the basis for training from ImageNet weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn

from nlvid_cli.errors import CheckpointMismatch, ModelFileError, ModelUnavailable
from nlvid_cli.models.formats.names import TORCHVISION
from nlvid_cli.models.formats.opening import open_file


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


def image_weights(name_or_path: str | Path) -> dict[str, Tensor]:
    """Return the ImageNet weights of a ResNet, by torchvision's names.

    Args:
        name_or_path: A torchvision network (``resnet50``, ``resnet101``), whose default weights torchvision downloads
            into its own cache and verifies, or a local ``.pth`` or ``.safetensors`` file.

    Raises:
        ModelUnavailable: The download failed.
        UnsafeFile: The file asks for something that nlvid does not execute.
        ModelFileError: The network or file does not exist, or the file has no tensors.
    """
    path = Path(name_or_path)
    if path.suffix in (".pth", ".pt", ".safetensors"):
        tensors = {name: torch.from_numpy(array) for name, array in open_file(path).items()}
        if not tensors:
            raise ModelFileError(f"{path}: the file has no tensors")
        return tensors
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(str(name_or_path))["DEFAULT"]
    except (ValueError, KeyError):
        raise ModelFileError(f"{name_or_path}: neither a torchvision network nor a weight file") from None
    try:
        return dict(weights.get_state_dict(check_hash=True, progress=False))
    except (URLError, OSError, RuntimeError) as error:
        raise ModelUnavailable(
            f"{name_or_path}: torchvision could not download its weights ({error}); give a local .pth file instead"
        ) from None
