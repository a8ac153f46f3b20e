"""Where a report goes: stdout, or a file that is written whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TextIO

from nlvid_cli.errors import OutputError
from nlvid_cli.recognize.prediction import Result
from nlvid_cli.report import RENDERERS, Renderer, ReportOptions, ResultT
from nlvid_cli.system.atomic import atomic_file, behind_links
from nlvid_cli.system.terminal import for_people


class Report(Generic[ResultT]):
    """A renderer that counts its results."""

    def __init__(self, renderer: Renderer[ResultT]) -> None:
        self._renderer = renderer
        self.count = 0

    def add(self, result: ResultT, elapsed_seconds: float) -> None:
        """Write one result, which took ``elapsed_seconds``."""
        self._renderer.add(result, elapsed_seconds)
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.close()


@contextmanager
def open_report(format_name: str, output: Path | None, options: ReportOptions) -> Iterator[Report[Result]]:
    """Open the report of a format, as :func:`open_renderer` does.

    Args:
        format_name: A key of :data:`nlvid_cli.report.RENDERERS`.
        output: Path of the file; None for stdout.
        options: What the report shows.

    Raises:
        OutputError: The file cannot be written.
    """
    with open_renderer(lambda stream: RENDERERS[format_name](stream, options), output) as report:
        yield report


@contextmanager
def open_renderer(make: Callable[[TextIO], Renderer[ResultT]], output: Path | None) -> Iterator[Report[ResultT]]:
    """Open a report on stdout, or in a file that is written whole or not at all.

    If the work ends early, by an interruption or an error, the file keeps the results so far, if there are any.

    Args:
        make: Makes the renderer for a stream.
        output: Path of the file; None for stdout.

    Raises:
        OutputError: The file cannot be written.
    """
    if output is None:
        with Report(make(sys.stdout)) as report:
            yield report
        return
    reports: list[Report[ResultT]] = []
    with open_whole(output, lambda: bool(reports and reports[0].count)) as stream:  # noqa: SIM117
        with Report(make(stream)) as report:
            reports.append(report)
            yield report


@contextmanager
def open_whole(output: Path, worth_keeping: Callable[[], bool] = lambda: False) -> Iterator[TextIO]:
    """Open a text file that is written whole or not at all.

    A link stays, and the file behind it is written. Stdout by any name, devices and pipes are written directly.

    Args:
        output: Path of the file.
        worth_keeping: Whether to keep what was written if the work ends early.

    Raises:
        OutputError: The file cannot be written.
    """
    if _is_stdout(output):
        yield sys.stdout
        return
    try:
        if output.is_dir():
            raise OutputError(f"{output}: cannot write, because it is a folder")
        if output.exists() and not output.is_file():  # a device or a pipe
            with _open_text(output) as stream:
                yield for_people(stream)
        else:
            with atomic_file(behind_links(output), worth_keeping) as part, _open_text(part) as stream:
                yield stream
    except OSError as error:
        raise OutputError(f"{output}: cannot write ({error.strerror})") from None


def _open_text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def _is_stdout(path: Path) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False
