"""Python's garbage collector, kept from work that finds nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector while many objects are made that last, and let it skip these from then on.

    Importing torch makes so many that the collector takes a sixth of the time, and finds nothing to free.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
