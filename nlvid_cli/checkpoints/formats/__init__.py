"""Checkpoint files of other programs: one file per family, one line in :data:`FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nlvid_cli.errors import ModelFileError

Tensors = dict[str, np.ndarray]


def read_foreign(name: str, path: Path) -> Tensors:
    """Read a file of another program.

    Args:
        name: a key of :data:`FORMATS`.
        path: the file.

    Returns:
        Its arrays under nlvid's tensor names, in nlvid's axis order.

    Raises:
        ModelFileError: the format is not known, or the file is damaged or incomplete.
        UnsafeFile: the file asks for something that nlvid does not execute.
    """
    if name not in FORMATS:
        raise ModelFileError(f"{path}: no reader for the format {name!r}; known are {', '.join(FORMATS)}")
    return FORMATS[name](path)


def _flax_i3d(path: Path) -> Tensors:
    from nlvid_cli.checkpoints.formats import flax_i3d

    return flax_i3d.read(path)


FORMATS: dict[str, Callable[[Path], Tensors]] = {
    "flax-i3d": _flax_i3d,
}
