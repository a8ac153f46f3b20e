"""A lock beside an output file, so that one process at a time writes it."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nlvid_cli.errors import OutputError

log = logging.getLogger(__name__)


@contextmanager
def locked(output: Path, to_write: bool = True) -> Iterator[None]:
    """Hold the lock of an output file.

    Args:
        output: The file.
        to_write: Whether the block writes the file. A block that only reads runs without a lock where none can be
            made, as in a read-only folder.

    Raises:
        OutputError: Another process holds the lock, or the folder is missing or read-only.
    """
    lock_file = output.with_name(f".{output.name}.lock")
    if not output.parent.is_dir():
        raise OutputError(f"{output}: cannot write there (there is no folder {output.parent})")
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(
            f"{output}: another nlvid is writing it{_holder(lock_file)}; wait for it, or choose another --output"
        ) from None
    except OSError as error:
        if to_write:
            raise OutputError(f"{output}: cannot write there ({error.strerror})") from None
        log.debug("%s: cannot make a lock beside it (%s)", output, error.strerror)
    try:
        if lock.is_locked:
            with suppress(OSError):  # the name of the holder is a courtesy, and the disk may be full
                lock_file.write_text(
                    f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%F %T %Z')}"
                )
        yield
    finally:
        lock.release()


def _holder(lock_file: Path) -> str:
    try:
        text = lock_file.read_text()
    except OSError:
        return ""
    return f" ({text})" if text else ""
