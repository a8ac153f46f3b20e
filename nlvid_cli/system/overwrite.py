"""Protection of inputs from being written over."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from nlvid_cli.errors import UsageError


def refuse_inputs(outputs: Iterable[Path | None], inputs: Iterable[str]) -> None:
    """Refuse to write over an input, under any name, link or hard link.

    Args:
        outputs: Files to write; None for an output that is not asked for.
        inputs: Names as the user gave them, and paths.

    Raises:
        UsageError: One of the outputs is one of the inputs.
    """
    there = {number: path for path in outputs if path is not None and (number := _file_number(path)) is not None}
    if not there:
        return
    for name in inputs:
        is_list = name.startswith("@") and not os.path.exists(name)
        number = _file_number(name[1:] if is_list else name)
        if number in there:
            raise UsageError(f"{there[number]}: is an input; choose another file for the output")


def _file_number(path: str | Path) -> tuple[int, int] | None:
    """Return what identifies a regular file under all its names; None for anything else."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
