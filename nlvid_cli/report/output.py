"""Where a report goes: stdout, or a file that is whole or not there."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from nlvid_cli.errors import OutputError
from nlvid_cli.recognize.prediction import Result
from nlvid_cli.report import RENDERERS, Renderer, ReportOptions
from nlvid_cli.system.atomic import behind_links


class Report:
    """Hands results to a renderer and counts them."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self.count = 0

    def add(self, result: Result, elapsed_seconds: float) -> None:
        """Write one result, which took so long."""
        self._renderer.add(result, elapsed_seconds)
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.close()


@contextmanager
def open_report(format_name: str, output: Path | None, options: ReportOptions) -> Iterator[Report]:
    """A report of that format, on stdout or in the file ``output``.

    A file is written under a temporary name beside its target and renamed at the end. If the work ends early, by
    an interruption or an error, it is kept with the results that are there by then, if there are any.

    Raises:
        OutputError: if the file cannot be written.
    """
    if output is None:
        with Report(RENDERERS[format_name](sys.stdout, options)) as report:
            yield report
        return
    reports: list[Report] = []
    with open_whole(output, lambda: bool(reports and reports[0].count)) as stream:  # noqa: SIM117
        with Report(RENDERERS[format_name](stream, options)) as report:
            reports.append(report)
            yield report


@contextmanager
def open_whole(output: Path, worth_keeping: Callable[[], bool] = lambda: False) -> Iterator[TextIO]:
    """A text file to write that is whole or not there: under a temporary name beside it, renamed at the end.

    A link stays, and leads to the file. Stdout by any name, devices and pipes are written to straight away.

    Args:
        output: where the file shall be.
        worth_keeping: if the work ends early, whether what is written by then is kept.

    Raises:
        OutputError: if the file cannot be written.
    """
    if _is_stdout(output):
        yield sys.stdout
        return
    try:
        is_device = output.exists() and not output.is_file() and not output.is_dir()
        with _open_text(output) if is_device else _replacing(behind_links(output), worth_keeping) as stream:
            yield stream
    except OSError as error:
        raise OutputError(f"{output}: cannot write ({error.strerror})") from None


@contextmanager
def _replacing(target: Path, worth_keeping: Callable[[], bool]) -> Iterator[TextIO]:
    """A file beside the target that takes its place at the end; if that is an ``OSError``, nothing is kept."""
    part = _part_beside(target)
    try:
        with _open_text(part) as stream:
            yield stream
    except OSError:
        raise
    except BaseException:
        if worth_keeping():
            part.replace(target)
        raise
    else:
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _open_text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def _is_stdout(path: Path) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False


def _part_beside(target: Path) -> Path:
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise OutputError(f"{target}: cannot write there ({error.strerror})") from None
    os.close(descriptor)
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)  # mkstemp made it private
    return Path(name)
