"""From results to what the user reads: a file per output format, and the one dict of them.

An output format is a file here and its line in :data:`RENDERERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from nlvid_cli.recognize.prediction import Result
from nlvid_cli.report.csv_rows import CsvRenderer
from nlvid_cli.report.json_lines import JsonLinesRenderer, JsonRenderer
from nlvid_cli.report.table import TableRenderer


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows.

    Attributes:
        timeline: whether the labels of each clip are shown, with their times.
        single: whether exactly one video was asked for by its name.
    """

    timeline: bool = False
    single: bool = False


class Renderer(Protocol):
    """Writes results to a stream as they come."""

    def add(self, result: Result, elapsed_seconds: float) -> None:
        """Write one result, which took so long."""

    def close(self) -> None:
        """Write what comes after the last result; the stream stays open."""


RENDERERS: dict[str, Callable[[TextIO, ReportOptions], Renderer]] = {
    "table": lambda stream, options: TableRenderer(stream, options.timeline),
    "json": lambda stream, options: JsonRenderer(stream, options.single),
    "jsonl": lambda stream, options: JsonLinesRenderer(stream),
    "csv": lambda stream, options: CsvRenderer(stream, options.timeline),
}
"""From the name after ``--format`` to what builds its renderer."""
