"""Output of results: a file per format and per page.

An output format is a file here and its line in :data:`RENDERERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO, TypeVar

from nlvid_cli.recognize.prediction import Result
from nlvid_cli.report.csv_rows import CsvRenderer
from nlvid_cli.report.json_lines import JsonLinesRenderer, JsonRenderer
from nlvid_cli.report.table import TableRenderer


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows.

    Attributes:
        timeline: Whether to show the labels of each clip, with their times.
        single: Whether the user named exactly one video.
    """

    timeline: bool = False
    single: bool = False


ResultT = TypeVar("ResultT", contravariant=True)


class Renderer(Protocol[ResultT]):
    """Writes results of one type to a stream, one by one."""

    def add(self, result: ResultT, elapsed_seconds: float) -> None:
        """Write one result, which took ``elapsed_seconds``."""

    def close(self) -> None:
        """Write the end of the report; the stream stays open."""


RENDERERS: dict[str, Callable[[TextIO, ReportOptions], Renderer[Result]]] = {
    "table": lambda stream, options: TableRenderer(stream, options.timeline),
    "json": lambda stream, options: JsonRenderer(stream, options.single),
    "jsonl": lambda stream, options: JsonLinesRenderer(stream),
    "csv": lambda stream, options: CsvRenderer(stream, options.timeline),
}
"""From a name after ``--format`` to a function that makes its renderer."""
