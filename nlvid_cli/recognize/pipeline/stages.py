"""How long each stage of a run was busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Seconds that the stages of a run were busy, over all their threads and processes."""

    def __init__(self) -> None:
        self.seconds = {"decode": 0.0, "prepare": 0.0, "network": 0.0, "write": 0.0}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Count time of a stage."""
        with self._lock:
            self.seconds[stage] += seconds

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began)
