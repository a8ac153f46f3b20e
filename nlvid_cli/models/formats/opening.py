"""Open a checkpoint of any program: detect the kind of file, and return its tensors under their own names."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats.network_tensors import Arrays, network_tensors
from nlvid_cli.models.formats.safe_pickle import read_arrays
from nlvid_cli.models.formats.torch_file import LEGACY_MAGIC, read_safetensors, read_torch_legacy, read_torch_zip
from nlvid_cli.models.other_files import require_model_file

_KINDS: tuple[tuple[str, Callable[[bytes], bool], Callable[[Path], Arrays]], ...] = (
    ("torch zip", lambda start: start.startswith(b"PK\x03\x04"), read_torch_zip),
    ("torch before 1.6", lambda start: start.startswith(LEGACY_MAGIC), read_torch_legacy),
    ("safetensors", lambda start: start[8:9] == b"{", read_safetensors),
    ("pickle", lambda start: start[:1] == b"\x80", read_arrays),
)
"""Kinds of files: a test of their first bytes, and their reader."""


def open_file(path: Path, is_network: Callable[[Collection[str]], bool] = lambda names: False) -> dict[str, np.ndarray]:
    """Read the tensors of a network in a checkpoint, whatever wrote it.

    Args:
        path: A torch file, a safetensors file, or a pickle of arrays.
        is_network: Whether tensors of these names are a network. It finds them among what else the file holds, in
            any dict and behind any prefix.

    Returns:
        The weights by name, without the optimiser's state and without prefixes. The keys of nested dicts are joined by
        ``|``.

    Raises:
        UnsafeFile: The file asks for something that nlvid does not execute.
        ModelFileError: The file does not exist, is damaged, or is not of a known kind.
    """
    require_file(path)
    try:
        with open(path, "rb") as file:
            start = file.read(64)
        read = next((read for _, looks_so, read in _KINDS if looks_so(start)), None)
        if read is None:
            require_model_file(path, str(path))
            kinds = ", ".join(kind for kind, _, _ in _KINDS)
            raise ModelFileError(f"{path}: not a checkpoint of a known kind ({kinds})")
        arrays = read(path)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    return network_tensors(arrays, is_network, path.name)


def require_file(path: Path) -> None:
    """Raise ModelFileError unless the file exists and can be read."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "not a regular file" if path.exists() else "no such file"
        raise ModelFileError(f"{path}: {found}; give a checkpoint file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from None
