"""Outputs of a timeline: a file per format, the page, the scores, and the video with labels on it.

An output format is a file here and its line in :data:`TIMELINE_RENDERERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from nlvid_cli.recognize.timeline import TimelineResult
from nlvid_cli.report import Renderer, ReportOptions
from nlvid_cli.report.json_lines import JsonLinesRenderer, JsonRenderer
from nlvid_cli.report.output import Report, open_renderer
from nlvid_cli.report.timeline.csv_rows import TimelineCsvRenderer
from nlvid_cli.report.timeline.files import FilePerVideo, file_per_video
from nlvid_cli.report.timeline.subtitles import SubtitleRenderer
from nlvid_cli.report.timeline.table import TimelineTableRenderer
from nlvid_cli.video.segment import Segment

TIMELINE_RENDERERS: dict[str, Callable[[TextIO, ReportOptions], Renderer[TimelineResult]]] = {
    "table": lambda stream, options: TimelineTableRenderer(stream),
    "json": lambda stream, options: JsonRenderer(stream, options.single),
    "jsonl": lambda stream, options: JsonLinesRenderer(stream),
    "csv": lambda stream, options: TimelineCsvRenderer(stream),
    "srt": lambda stream, options: SubtitleRenderer(stream, as_vtt=False),
    "vtt": lambda stream, options: SubtitleRenderer(stream, as_vtt=True),
}
"""From a name after ``--format`` to a function that makes its renderer."""

SUBTITLES = ("srt", "vtt")
"""Formats of one file per video, with the same suffix."""


def subtitle_files(
    format_name: str, videos: Sequence[Segment], output: Path | None, single: bool
) -> dict[str, Path] | None:
    """Return the file of each video; None where the report is one stream.

    Raises:
        UsageError: Two videos would get the same file, or there is no place for them.
        OutputError: The folder cannot be made.
    """
    if format_name not in SUBTITLES or (single and output is None):
        return None
    return file_per_video(videos, output, f".{format_name}", single)


@contextmanager
def open_timeline_report(
    format_name: str, output: Path | None, videos: Sequence[Segment], single: bool
) -> Iterator[Report[TimelineResult]]:
    """Open a report on stdout, in a file, or in a file per video (subtitles).

    Args:
        format_name: A key of :data:`TIMELINE_RENDERERS`.
        output: Path of the file, or of a folder for subtitles; None for stdout, or beside each video.
        videos: All videos of the command.
        single: Whether the user named exactly one video.

    Raises:
        UsageError: Subtitles of two videos would get the same file, or there is no place for them.
        OutputError: A file cannot be written.
    """
    options = ReportOptions(single=single)

    def make(stream: TextIO) -> Renderer[TimelineResult]:
        return TIMELINE_RENDERERS[format_name](stream, options)

    files = subtitle_files(format_name, videos, output, single)
    if files is None:
        with open_renderer(make, output) as report:
            yield report
    else:
        with Report[TimelineResult](FilePerVideo(files, make)) as report:
            yield report
