"""Bars: on stderr, and only where stderr is a terminal."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nlvid_cli.system.terminal import tell

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from nlvid_cli.labelling.rows import Row
    from nlvid_cli.labelling.run import Listener, Tally
    from nlvid_cli.training.observer import EpochRow, StepRow

log = logging.getLogger(__name__)

LINE_SECONDS = 30.0
"""Time from one line about a long run to the next, where stderr is not a terminal."""


def counting_bar(text: str, total: int) -> Progress:
    """Return a bar that counts to ``total``, as a context manager; it is silent where stderr is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    bar = _bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=not sys.stderr.isatty(),
    )
    bar.add_task(text, total=total)
    return bar


class DownloadBar:
    """Bar of a download with size, speed and time left; a single line where stderr is not a terminal."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def start(self, description: str, total_bytes: int | None) -> None:
        """Begin a download, or begin it again."""
        self.finish()
        if not sys.stderr.isatty():
            size = f" ({total_bytes / 1e6:.0f} MB)" if total_bytes else ""
            log.info("%s%s", description, size)
            return
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = _bar(*columns, TimeRemainingColumn())
        self._bar.add_task(description, total=total_bytes)
        self._bar.start()

    def advance(self, size_bytes: int) -> None:
        """Count bytes that have arrived."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], size_bytes)

    def finish(self) -> None:
        """End the download, whether it succeeded or not."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def label_progress(tally: Tally, workers: int, devices: int) -> Iterator[Listener]:
    """Show how a labelling run is going, and its summary at the end.

    A terminal gets a bar; elsewhere there is a line every :data:`LINE_SECONDS`.

    Args:
        tally: Tally of the run, which its owner keeps up to date.
        workers: Number of processes that decode.
        devices: Number of devices with the model.

    Yields:
        A function to call after each row.
    """
    from nlvid_cli.report.labelling import summary_lines

    if not log.isEnabledFor(logging.INFO):
        yield lambda row: None
        return
    try:
        with _label_bar(tally) if sys.stderr.isatty() else _label_lines(tally) as listener:
            yield listener
    finally:
        for line in summary_lines(tally, workers, devices):
            log.info("%s", line)


@contextmanager
def _label_bar(tally: Tally) -> Iterator[Listener]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    from nlvid_cli.report.labelling import state

    with _bar(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False)) as bar:
        task = bar.add_task(state(tally), total=tally.total)

        def show(row: Row) -> None:
            bar.update(task, completed=tally.done + tally.failed, description=state(tally))

        yield show


@contextmanager
def _label_lines(tally: Tally) -> Iterator[Listener]:
    from nlvid_cli.report.labelling import state

    over = threading.Event()

    def print_lines() -> None:
        while not over.wait(LINE_SECONDS):
            log.info("%d of %d videos, %s", tally.done + tally.failed, tally.total, state(tally))

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield lambda row: None
    finally:
        over.set()
        thread.join()


class TrainProgress:
    """Shows the steps and epochs of a training run: a bar on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._last_line = time.monotonic()

    def note(self, text: str) -> None:
        """Print a sentence."""
        log.info("%s", text)

    def step(self, row: StepRow) -> None:
        """Show loss, learning rate, speed, and the share of time spent waiting for data."""
        text = (
            f"epoch {row.epoch}  loss {row.loss:.3f}  lr {row.learning_rate:.2g}  {row.clips_per_second:.1f} clips/s  "
            f"data wait {row.data_wait:.0%}"
        )
        if sys.stderr.isatty():
            bar = self._started(row.steps)
            bar.update(bar.task_ids[0], completed=row.step, description=text)
        elif time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            self._print(f"step {row.step} of {row.steps}  {text}")

    def epoch(self, row: EpochRow) -> None:
        """Print the figures of the validation."""
        figures = "  ".join(f"{name} {100 * value:.1f} %" for name, value in row.figures.items())
        best = "  (best so far)" if row.best and row.figures else ""
        trained = "" if math.isnan(row.train_figure) else f", on training clips {100 * row.train_figure:.1f} %"
        self._print(f"epoch {row.epoch}: loss {row.train_loss:.3f}{trained}; validation: {figures or 'none'}{best}")

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _started(self, steps: int) -> Progress:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        if self._bar is None:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
            self._bar = _bar(*columns, TimeElapsedColumn(), TimeRemainingColumn())
            self._bar.add_task("", total=steps)
            self._bar.start()
        return self._bar

    def _print(self, text: str) -> None:
        if log.isEnabledFor(logging.INFO):
            tell(text)


def _bar(*columns: ProgressColumn, disable: bool = False) -> Progress:
    from rich.progress import Progress  # 20 ms, which most runs of `nlvid classify` need not spend

    from nlvid_cli.report.console import PlainConsole

    return Progress(
        *columns,
        console=PlainConsole(sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=disable,
    )
