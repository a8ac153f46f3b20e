"""How a run over many videos is going: a bar on a terminal, else a line now and then; and the summary at its end."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from nlvid_cli.labelling.run import Listener, Row, Tally

log = logging.getLogger(__name__)

LINE_SECONDS = 30.0
"""From one line to the next, where stderr is no terminal."""


@contextmanager
def progress(tally: Tally) -> Iterator[Listener]:
    """Show how a run is going, from its tally."""
    if not log.isEnabledFor(logging.INFO):
        yield lambda row: None
    elif sys.stderr.isatty():
        yield from _bar(tally)
    else:
        yield from _lines(tally)


def _bar(tally: Tally) -> Iterator[Listener]:
    with Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(_state(tally), total=tally.total)

        def show(row: Row) -> None:
            bar.update(task, completed=tally.done + tally.failed, description=_state(tally))

        yield show


def _lines(tally: Tally) -> Iterator[Listener]:
    over = threading.Event()

    def tell() -> None:
        while not over.wait(LINE_SECONDS):
            log.info("%d of %d videos, %s", tally.done + tally.failed, tally.total, _state(tally))

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield lambda row: None
    finally:
        over.set()
        teller.join()


def _state(tally: Tally) -> str:
    finished = tally.done + tally.failed
    if not finished:
        return f"{tally.failed} failed"
    rate = finished / tally.seconds
    return f"{tally.failed} failed, {rate:.3g} videos/s, {duration((tally.total - finished) / rate)} left"


def summary(tally: Tally, workers: int, devices: int) -> list[str]:
    """The end of a run in a few lines.

    Args:
        tally: of the run.
        workers: number of processes that decoded.
        devices: number of devices with the model.
    """
    seconds = max(tally.seconds, 1e-9)
    finished = tally.done + tally.failed
    lines = [
        f"{tally.done} of {tally.total} videos labelled, {tally.failed} failed, in {duration(seconds)}: "
        f"{finished / seconds:.3g} videos/s, {tally.video_seconds / seconds:.3g} hours of video per hour"
    ]
    if tally.failures:
        lines.append("failed: " + ", ".join(f"{count} {name}" for name, count in tally.failures.most_common()))
    busy = tally.stages.seconds
    if busy["decode"]:
        shares = {
            f"decode {workers} x": busy["decode"] / workers,
            "prepare": busy["prepare"],
            f"network {devices} x": busy["network"] / devices,
            "write": busy["write"],
        }
        lines.append("busy: " + ", ".join(f"{name} {100 * busy / seconds:.0f} %" for name, busy in shares.items()))
    return lines


def duration(seconds: float) -> str:
    """So many seconds in words: ``45 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
