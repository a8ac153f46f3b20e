"""Files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME_LETTERS = 100
"""Of the target's name in the temporary one; file systems allow 255 bytes in all."""


@contextmanager
def atomic_file(target: Path, keep_on_error: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """An empty file beside ``target`` that takes its place once the block is done.

    Readers see the old file or the whole new one. The data is on the disk before the name changes, and the new file
    has the permissions of the old one, or those of the user's umask.

    Args:
        target: the file to write, not a link (:func:`behind_links`).
        keep_on_error: whether to keep what was written when the block raises something other than ``OSError``.

    Yields:
        The path to write to.

    Raises:
        OSError: the folder cannot be written, or the disk is full; there is no temporary file then.
    """
    part = target.with_name(f".{target.name[:NAME_LETTERS]}.{secrets.token_hex(4)}.part")
    part.touch()
    try:
        with suppress(FileNotFoundError):
            part.chmod(target.stat().st_mode & 0o777)
        yield part
    except OSError:
        raise
    except BaseException:
        if keep_on_error():
            _put(part, target)
        raise
    else:
        _put(part, target)
    finally:
        with suppress(OSError):
            part.unlink()


def behind_links(path: Path) -> Path:
    """Where a link leads, so that the link is not replaced by a file; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _put(part: Path, target: Path) -> None:
    with part.open("rb+") as file:  # renamed before the data is on the disk, it could be empty after a power cut
        os.fsync(file.fileno())
    os.replace(part, target)
