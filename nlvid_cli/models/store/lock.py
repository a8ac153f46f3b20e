"""The right to change what the cache holds of a model, for one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from nlvid_cli.errors import ModelUnavailable
from nlvid_cli.models.store.cache import FOLDERS, Slot, cache_folder


@contextmanager
def hold(slot: Slot, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a model, with the folders of the cache there; waits while another process has it.

    Args:
        slot: the model's place.
        note: is told of the wait.

    Raises:
        ModelUnavailable: the cache cannot be written; also for an ``OSError`` of the block inside.
    """
    try:
        for folder in FOLDERS:
            (cache_folder() / folder).mkdir(parents=True, exist_ok=True)
        lock = FileLock(slot.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            note(f"another nlvid is busy with {slot.name}; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except OSError as error:
        raise ModelUnavailable(
            f"{slot.name}: the cache {cache_folder()} cannot be used ({error.strerror or error}); "
            "free some space there, or set NLVID_CACHE to another folder"
        ) from error
