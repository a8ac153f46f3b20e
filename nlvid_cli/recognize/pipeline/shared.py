"""Memory that two processes share, and the budget that bounds how much of it there is."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from math import prod

import numpy as np

from nlvid_cli.video.info import Pixels


class SharedBlock:
    """Memory for the frames of one video: another process writes it, this one reads it.

    On Linux it is an anonymous file that other processes of the same user open under ``/proc``: whatever happens to
    the processes, nothing of it stays behind, and the size of ``/dev/shm`` is of no concern. Elsewhere it is a
    temporary file, removed once it is mapped.

    Attributes:
        path: by which another process opens it, until :meth:`frames` was called.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._named = not (hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"))
        if self._named:
            self._file, self.path = tempfile.mkstemp(prefix="nlvid-")
        else:
            self._file = os.memfd_create("nlvid-frames")
            self.path = f"/proc/{os.getpid()}/fd/{self._file}"
        os.ftruncate(self._file, size_bytes)

    def frames(self, shape: tuple[int, ...], dtype: str) -> Pixels:
        """What was written, as an array; the memory is freed with the last reference to it."""
        mapped = mmap.mmap(self._file, self._size_bytes)
        self.close()
        return np.frombuffer(mapped, dtype).reshape(shape)

    def close(self) -> None:
        """Let go of the file; may be called again."""
        if self._file >= 0:
            os.close(self._file)
            if self._named:
                os.unlink(self.path)
            self._file = -1


def size_of_frames(shape: tuple[int, ...], dtype: str) -> int:
    """Bytes of an array of frames."""
    return prod(shape) * np.dtype(dtype).itemsize


class MemoryBudget:
    """Bytes that may be in use at the same time; who wants more waits until others have given theirs back."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._used = 0
        self._open = True
        self._changed = threading.Condition()

    def take(self, size_bytes: int) -> bool:
        """Wait for so many bytes; returns False if they can never be had, or the budget was closed."""
        if size_bytes > self.total_bytes:
            return False
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._used + size_bytes <= self.total_bytes)
            self._used += size_bytes if self._open else 0
            return self._open

    def give_back(self, size_bytes: int) -> None:
        """Return what was taken."""
        with self._changed:
            self._used -= size_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
