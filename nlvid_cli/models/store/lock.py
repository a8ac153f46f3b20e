"""One process at a time may change what the cache holds of a model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from nlvid_cli.errors import ModelUnavailable
from nlvid_cli.models.store.cache import FOLDERS, Slot, cache_folder

log = logging.getLogger(__name__)


@contextmanager
def hold(slot: Slot) -> Iterator[None]:
    """Hold the lock of a model; wait while another process holds it. The folders of the cache exist inside.

    Raises:
        ModelUnavailable: The cache cannot be written. Also raised for an ``OSError`` of the block inside.
    """
    try:
        for folder in FOLDERS:
            (cache_folder() / folder).mkdir(parents=True, exist_ok=True)
        lock = FileLock(slot.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another nlvid is busy with %s; waiting for it", slot.name)
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
