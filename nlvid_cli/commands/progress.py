"""Bars and spinners on stderr, on a terminal only."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.status import Status


class DownloadBar:
    """Bar of a download with size, speed and time left; without a terminal a single line."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar: Progress | None = None

    def start(self, description: str, total_bytes: int | None) -> None:
        """A download of that size begins, or begins anew."""
        self.finish()
        if not sys.stderr.isatty():
            size = f" ({total_bytes / 1e6:.0f} MB)" if total_bytes else ""
            self._console.print(f"note: {description}{size}", markup=False, highlight=False, soft_wrap=True)
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(description, total=total_bytes)
        self._bar.start()

    def advance(self, size_bytes: int) -> None:
        """So many more bytes are here."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], size_bytes)

    def finish(self) -> None:
        """The download ended, in whatever way."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def spinner(text: str) -> Status:
    """A line on stderr that says what goes on; silent where stderr is no terminal."""
    console = Console(stderr=True)
    console.quiet = not sys.stderr.isatty()  # FORCE_COLOR makes no terminal of a log file
    return console.status(text)


def counting_bar(text: str, total: int) -> Progress:
    """A bar on stderr that counts up to ``total``, as a context manager; silent where stderr is no terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    bar.add_task(text, total=total)
    return bar
