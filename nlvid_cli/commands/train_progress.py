"""How a training run goes, on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nlvid_cli.training.observer import EpochRow, StepRow

LINE_SECONDS = 30.0
"""From one line about steps to the next, where there is no terminal."""


class TrainProgress:
    """Shows steps and epochs.

    Args:
        quiet: show nothing but the bar's place; notes are left out.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._bar: Progress | None = None
        self._last_line = time.monotonic()

    def note(self, text: str) -> None:
        """A sentence."""
        self._print(f"note: {text}")

    def step(self, row: StepRow) -> None:
        """Loss, learning rate, speed, and how long the network waits for data."""
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
        """Figures of the validation."""
        figures = "  ".join(f"{name} {100 * value:.1f} %" for name, value in row.figures.items())
        best = "  (best so far)" if row.best and row.figures else ""
        trained = "" if math.isnan(row.train_figure) else f", on training clips {100 * row.train_figure:.1f} %"
        self._print(f"epoch {row.epoch}: loss {row.train_loss:.3f}{trained}; validation: {figures or 'none'}{best}")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _started(self, steps: int) -> Progress:
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            times = (TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, *times, console=self._console, transient=True)
            self._bar.add_task("", total=steps)
            self._bar.start()
        return self._bar

    def _print(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text, markup=False, soft_wrap=True)
