"""Files that are whole or not there."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME_LETTERS = 100
"""Of the target's name in the temporary one; file systems allow 255 bytes in all."""

NAME_BYTES = 4
"""Random bytes in the temporary name, as two letters each."""


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
    part = target.with_name(f".{target.name[:NAME_LETTERS]}.{secrets.token_hex(NAME_BYTES)}.part")
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


def remove_leftovers(target: Path) -> None:
    """Remove the temporary files of :func:`atomic_file` that killed processes left beside ``target``.

    Only for a caller that holds a lock on ``target``, since a file that is being written looks the same.

    Raises:
        OSError: The folder cannot be read or written.
    """
    if len(target.name) > NAME_LETTERS:
        return  # the temporary name does not tell such files apart
    for part in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 2 * NAME_BYTES}.part"):
        part.unlink(missing_ok=True)


def behind_links(path: Path) -> Path:
    """Where a link leads, so that the link is not replaced by a file; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _put(part: Path, target: Path) -> None:
    with part.open("rb+") as file:  # renamed before the data is on the disk, it could be empty after a power cut
        os.fsync(file.fileno())
    os.replace(part, target)
