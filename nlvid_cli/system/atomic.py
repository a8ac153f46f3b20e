"""Files that are written whole or not at all."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME_LETTERS = 100
"""Letters of the target's name in the temporary name; file systems allow 255 bytes in all."""

NAME_BYTES = 4
"""Random bytes in the temporary name, two letters each."""


@contextmanager
def atomic_file(target: Path, keep_on_error: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Write a temporary file beside ``target``, and rename it to ``target`` at the end of the block.

    Readers see the old file or the complete new one. The data is on the disk before the name changes. The new file has
    the permissions of the old one, or those of the user's umask.

    Args:
        target: File to write, not a link (:func:`behind_links`).
        keep_on_error: Whether to keep what was written when the block raises something other than ``OSError``.

    Yields:
        The path of the temporary file.

    Raises:
        OSError: The folder cannot be written, or the disk is full; no temporary file is left.
    """
    part = target.with_name(f".{target.name[:NAME_LETTERS]}.{secrets.token_hex(NAME_BYTES)}.part")
    part.touch()
    try:
        mode = (target if target.exists() else part).stat().st_mode & 0o777
        part.chmod(mode | 0o600)  # as private as the old file already now, but writable
        yield part
    except OSError:
        raise
    except BaseException:
        if keep_on_error():
            _put(part, target, mode)
        raise
    else:
        _put(part, target, mode)
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
    """Return the file behind a link, so that the link is not replaced by a file; return any other path unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _put(part: Path, target: Path, mode: int) -> None:
    with part.open("rb+") as file:  # renamed before the data is on the disk, it could be empty after a power cut
        os.fsync(file.fileno())
    part.chmod(mode)  # some libraries write a file of their own, with other permissions, in its place
    os.replace(part, target)
