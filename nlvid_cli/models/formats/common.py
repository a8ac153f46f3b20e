"""What the readers of all families share: from the names and shapes of a file to nlvid's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nlvid_cli.errors import ModelFileError

Tensors = dict[str, np.ndarray]

COUNTER = "num_batches_tracked"
"""Buffer of torch's batch norm that only training reads."""


def translate_all(
    tensors: Mapping[str, np.ndarray], translate: Callable[[str], str | None], where: str
) -> dict[str, np.ndarray]:
    """Every tensor under nlvid's name, as float32 and with the axes of a network for video.

    Args:
        tensors: by the names of the file.
        translate: nlvid's name for one of them, or None.
        where: the file, for messages.

    Raises:
        ModelFileError: a tensor whose name no rule knows, two for one place, or one that is not of plain numbers.
    """
    done: Tensors = {}
    unknown = []
    for key, tensor in tensors.items():
        if key.endswith(COUNTER):
            continue
        name = translate(key)
        if name is None:
            unknown.append(key)
        elif name in done:
            raise ModelFileError(f"{where}: {key} is the second tensor for {name}; nlvid cannot tell which one counts")
        else:
            done[name] = _as_video(key, tensor, where) if name.endswith(".weight") else _as_float32(key, tensor, where)
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ModelFileError(f"{where}: nlvid has no place for the tensor {unknown[0]}{more}; it would be lost")
    return done


def _as_video(key: str, weight: np.ndarray, where: str) -> np.ndarray:
    """Kernels of images and linear layers as the 3-D kernels that they are; 1-D weights of norms as they are."""
    weight = _as_float32(key, weight, where)
    if weight.ndim == 2:
        return weight.reshape(*weight.shape, 1, 1, 1)  # (O, I) -> (O, I, 1, 1, 1)
    if weight.ndim == 4:
        return np.expand_dims(weight, 2)  # (O, I, H, W) -> (O, I, 1, H, W)
    return weight


def _as_float32(key: str, tensor: np.ndarray, where: str) -> np.ndarray:
    if tensor.dtype.kind != "f":
        raise ModelFileError(f"{where}: {key} holds numbers of the type {tensor.dtype}, not the weights of a network")
    return tensor.astype(np.float32, copy=False)
