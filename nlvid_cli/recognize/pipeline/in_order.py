"""Outcomes in the order of their videos, with a bound on how far the others get ahead of a slow one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from nlvid_cli.recognize.pipeline.pipeline import Outcome, Pipeline
from nlvid_cli.video.clips import Segment

MAX_AHEAD = 1000
"""Videos that may be begun while an earlier one is not done."""


def in_order(pipeline: Pipeline, stretches: Iterable[Segment]) -> Iterator[Outcome]:
    """Run videos through a pipeline; their outcomes come in their order."""
    free = threading.Semaphore(MAX_AHEAD)

    def held_back() -> Iterator[Segment]:
        for stretch in stretches:
            free.acquire()
            yield stretch

    early: dict[int, Outcome] = {}
    wanted = 0
    try:
        for outcome in pipeline.run(held_back()):
            early[outcome.number] = outcome
            while wanted in early:
                yield early.pop(wanted)
                free.release()
                wanted += 1
    finally:
        free.release(MAX_AHEAD)  # nobody waits for somebody who left
