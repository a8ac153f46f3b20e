"""Shared by the stages of a run: memory for frames, its budget, and the clock of the stages."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

import numpy as np

from nlvid_cli.video.info import Pixels


class SharedBlock:
    """Memory for the frames of one video: another process writes it, this one reads it.

    On Linux it is an anonymous file that other processes of the same user open under ``/proc``. Nothing of it is left
    behind, whatever happens to the processes, and the size of ``/dev/shm`` does not matter. Elsewhere, and on request,
    it is a temporary file that is removed once it is written.

    Args:
        size_bytes: Size of the frames.
        named: Whether to use a temporary file in any case.

    Attributes:
        path: Path by which another process opens it, until :meth:`close` is called.

    Raises:
        OSError: There is no room for it: memory, open files, disk, or the limit on the size of files.
    """

    def __init__(self, size_bytes: int, named: bool = False) -> None:
        self._named = named or not (hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"))
        if self._named:
            self._file, self.path = tempfile.mkstemp(prefix="nlvid-")
        else:
            self._file = os.memfd_create("nlvid-frames")
            self.path = f"/proc/{os.getpid()}/fd/{self._file}"
        try:
            os.ftruncate(self._file, size_bytes)
            self._mapped = mmap.mmap(self._file, size_bytes)
        except BaseException:
            self.close()
            raise

    def frames(self, shape: tuple[int, ...], dtype: str) -> Pixels:
        """Return the written frames as an array; the memory is freed with the last reference to it."""
        return np.frombuffer(self._mapped, dtype).reshape(shape)

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._file >= 0:
            os.close(self._file)
            if self._named:
                os.unlink(self.path)
            self._file = -1


def size_of_frames(shape: tuple[int, ...], dtype: str) -> int:
    """Size in bytes of an array of frames."""
    return prod(shape) * np.dtype(dtype).itemsize


class MemoryBudget:
    """Limit on the bytes in use at the same time; threads wait until others have given theirs back."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._used = 0
        self._open = True
        self._changed = threading.Condition()

    def take(self, size_bytes: int) -> bool:
        """Wait for so many bytes; return False if there can never be so many, or the budget was closed."""
        if size_bytes > self.total_bytes:
            return False
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._used + size_bytes <= self.total_bytes)
            self._used += size_bytes if self._open else 0
            return self._open

    def give_back(self, size_bytes: int) -> None:
        """Return bytes that were taken."""
        with self._changed:
            self._used -= size_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """Wake all waiting threads, and grant no more bytes."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


class Stages:
    """Seconds that each stage of a run was busy, summed over its threads and processes."""

    def __init__(self) -> None:
        self.seconds = {"decode": 0.0, "prepare": 0.0, "network": 0.0, "write": 0.0}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Count busy time of a stage."""
        with self._lock:
            self.seconds[stage] += seconds

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time spent in the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began)
