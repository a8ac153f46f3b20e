"""Several views at the same time on a CPU, each with its share of the threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

MOST = 4
"""Views at the same time at most: each takes memory for its activations (0.2 GB for an I3D in bf16)."""

T = TypeVar("T")
R = TypeVar("R")


class Streams:
    """Threads that run a network of torch side by side.

    Threads that share one view wait for each other at the end of every layer. On two quiet cores that costs 5 %; where
    other processes take time, such as those that decode, ``tiny`` makes 1.4 times as many views side by side.

    Args:
        count: of views at the same time.
        threads: of torch for each.
    """

    def __init__(self, count: int, threads: int) -> None:
        before = torch.get_num_threads()
        all_there = threading.Barrier(count + 1)
        self._pool = ThreadPoolExecutor(count, "nlvid-view", _take, (threads,))
        for _ in range(count):
            self._pool.submit(all_there.wait)
        all_there.wait()
        torch.set_num_threads(before)  # also what threads of others begin with; each of ours keeps its own number

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """``function`` of each item, in their order."""
        return list(self._pool.map(function, items))


def _take(threads: int) -> None:
    torch.get_num_threads()  # what makes torch set a thread's number, the first time, to what others have
    torch.set_num_threads(threads)


def streams_for(processors: int) -> tuple[int, int]:
    """How many views at the same time, and how many threads for each."""
    threads = -(-processors // MOST)
    return processors // threads, threads
