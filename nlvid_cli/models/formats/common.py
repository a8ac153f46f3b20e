"""Shared by the readers of all families: from the names and shapes of a file to nlvid's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nlvid_cli.errors import ModelFileError, shortened

Tensors = dict[str, np.ndarray]

COUNTER = "num_batches_tracked"
"""Buffer of torch's batch norm that only training uses."""


def translate_all(
    tensors: Mapping[str, np.ndarray], translate: Callable[[str], str | None], where: str
) -> dict[str, np.ndarray]:
    """Return every tensor under nlvid's name, as float32 and with the axes of a network for video.

    Args:
        tensors: Tensors by the names in the file.
        translate: Returns nlvid's name for one of them, or None if it is unknown.
        where: File, for messages.

    Raises:
        ModelFileError: A name is unknown, two tensors have the same place, or a tensor does not hold plain numbers.
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
            raise ModelFileError(f"{where}: {key} is the second tensor for {name}; it is unclear which one counts")
        else:
            done[name] = _as_video(key, tensor, where) if name.endswith(".weight") else _as_float32(key, tensor, where)
    if unknown:
        raise ModelFileError(f"{where}: the network has no place for the tensor {shortened(unknown, 1)}")
    return done


def _as_video(key: str, weight: np.ndarray, where: str) -> np.ndarray:
    """Return kernels of images and linear layers as 3-D kernels, and the 1-D weights of norms unchanged."""
    weight = _as_float32(key, weight, where)
    if weight.ndim == 2:
        return weight.reshape(*weight.shape, 1, 1, 1)  # (O, I) -> (O, I, 1, 1, 1)
    if weight.ndim == 4:
        return np.expand_dims(weight, 2)  # (O, I, H, W) -> (O, I, 1, H, W)
    return weight


def _as_float32(key: str, tensor: np.ndarray, where: str) -> np.ndarray:
    if tensor.dtype.kind != "f":
        raise ModelFileError(f"{where}: {key} holds {tensor.dtype} values, which are not weights")
    return tensor.astype(np.float32, copy=False)
