"""Opening a checkpoint of any program: what kind of file it is, and the tensors in it under their own names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats.safe_pickle import read_arrays
from nlvid_cli.models.formats.torch_file import LEGACY_MAGIC, read_safetensors, read_torch_legacy, read_torch_zip

Arrays = dict[tuple[str, ...], np.ndarray]

CONTAINERS = ("blobs", "model_state", "state_dict")
"""Keys under which checkpoints keep the weights, where they also keep other things."""

WRAPPER = "module."
"""What data-parallel training of torch puts before every name."""

_KINDS: tuple[tuple[str, Callable[[bytes], bool], Callable[[Path], Arrays]], ...] = (
    ("torch zip", lambda start: start.startswith(b"PK\x03\x04"), read_torch_zip),
    ("torch before 1.6", lambda start: start.startswith(LEGACY_MAGIC), read_torch_legacy),
    ("safetensors", lambda start: start[8:9] == b"{", read_safetensors),
    ("pickle", lambda start: start[:1] == b"\x80", read_arrays),
)
"""Kinds of files: how their first bytes look, and who reads them."""


def open_file(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint, whatever wrote it.

    Args:
        path: a torch file, a safetensors file, or a pickle of arrays.

    Returns:
        The weights alone (not the optimiser's state beside them), without the wrapper's part of their names. Keys of
        dicts in dicts are joined by ``|``.

    Raises:
        UnsafeFile: the file asks for something that nlvid does not execute.
        ModelFileError: there is no such file, or it is of no kind that nlvid reads, or damaged.
    """
    require_file(path)
    try:
        with open(path, "rb") as file:
            start = file.read(64)
        read = next((read for _, looks_so, read in _KINDS if looks_so(start)), None)
        if read is None:
            kinds = ", ".join(kind for kind, _, _ in _KINDS)
            raise ModelFileError(f"{path}: not a checkpoint of a kind that nlvid reads ({kinds})")
        arrays = read(path)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    return _unwrapped(arrays)


def require_file(path: Path) -> None:
    """Raise ModelFileError, which says why, unless there is a file that can be read."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "not a regular file" if path.exists() else "no such file"
        raise ModelFileError(f"{path}: {found}; give a checkpoint file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from None


def _unwrapped(arrays: Arrays) -> dict[str, np.ndarray]:
    container = next((name for name in CONTAINERS if any(len(keys) > 1 and keys[0] == name for keys in arrays)), None)
    if container is not None:
        arrays = {keys[1:]: array for keys, array in arrays.items() if keys[0] == container}
    tensors = {"|".join(keys): array for keys, array in arrays.items()}
    while tensors and all(name.startswith(WRAPPER) for name in tensors):
        tensors = {name.removeprefix(WRAPPER): array for name, array in tensors.items()}
    return tensors
