"""From a two-dimensional ResNet to a C2D or I3D one: the weights, spread out over time.

"Non-local Neural Networks", section 4: a k x k kernel becomes t x k x k, each of its t planes the k x k kernel divided
by t. A video of t equal frames then gives what the two-dimensional network gives for one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn

from nlvid_cli.errors import CheckpointMismatch, ModelFileError, ModelUnavailable
from nlvid_cli.models.formats.names import TORCHVISION


def inflate(image_tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights for ``network`` out of those of an image network of the same depth and width.

    Args:
        image_tensors: by torchvision's names, as its ResNets save them.
        network: a :class:`nlvid_cli.network.resnet3d.ResNet3d`; it stays as it is. What the image network does not
            have (non-local blocks, a classifier of other classes) keeps the values that the network has.

    Returns:
        All tensors of the network, by its names; ``load_weights`` takes them.

    Raises:
        CheckpointMismatch: a tensor has no place in the network, or does not fit, or one of the backbone is missing.
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
    """(O, I, k, k) -> (O, I, t, k, k) with t as in ``like``; other tensors only get the shape of ``like``."""
    if tensor.dim() == 4 and like.dim() == 5 and tensor.shape == (*like.shape[:2], *like.shape[3:]):
        t = like.shape[2]
        return tensor.unsqueeze(2).repeat(1, 1, t, 1, 1) / t
    if tensor.numel() != like.numel() or tensor.shape[:1] != like.shape[:1]:
        raise CheckpointMismatch(f"inflation: {name} is {tuple(tensor.shape)}, the network needs {tuple(like.shape)}")
    return tensor.reshape(like.shape)


def image_weights(name_or_path: str | Path) -> dict[str, Tensor]:
    """ImageNet weights of a ResNet.

    Args:
        name_or_path: a network of torchvision (``resnet50``, ``resnet101``), whose default weights it downloads into
            its own cache and checks; or a local ``.pth`` or ``.safetensors`` file with its names.

    Raises:
        ModelUnavailable: the download failed.
        ModelFileError: no such network or file, or a file that does not load as plain tensors.
    """
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelFileError(f"{path}: not a readable safetensors file ({error})") from None
    if path.suffix in (".pth", ".pt"):
        return _torch_file(path)
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(str(name_or_path))["DEFAULT"]
    except (ValueError, KeyError):
        raise ModelFileError(f"{name_or_path}: neither a network of torchvision nor a weight file") from None
    try:
        return dict(weights.get_state_dict(check_hash=True, progress=False))
    except (URLError, OSError, RuntimeError) as error:
        raise ModelUnavailable(
            f"{name_or_path}: torchvision cannot download its weights ({error}); give a local .pth file instead"
        ) from None


def _torch_file(path: Path) -> dict[str, Tensor]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises for a bad file is of many kinds
        raise ModelFileError(f"{path}: does not load as plain tensors ({error})") from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ModelFileError(f"{path}: holds something else than tensors by name")
    return tensors
