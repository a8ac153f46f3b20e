"""CSV as in RFC 4180: a row per segment."""

from __future__ import annotations

from typing import TextIO

from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.recognize.timeline import TimelineResult
from nlvid_cli.system.csv_lines import csv_writer

COLUMNS = (
    "video", "segment", "start_seconds", "end_seconds", "label", "index", "score", "model",
    "error_type", "error_message",
)  # fmt: skip
"""``segment`` counts from 1. A video without segments has no row; a failed one is one row with an error."""


class TimelineCsvRenderer:
    """Writes the segments of each video."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rows = csv_writer(stream, COLUMNS)

    def add(self, result: TimelineResult, elapsed_seconds: float) -> None:
        """Write the rows of one video."""
        if isinstance(result, Failure):
            times = {} if result.stretch is None else result.stretch.to_dict()
            times = {name: value for name, value in times.items() if name in COLUMNS}
            error = {"error_type": result.error.type, "error_message": result.error.message}
            self._rows.writerow({"video": result.video} | times | error)
        else:
            for number, segment in enumerate(result.segments, start=1):
                self._rows.writerow(
                    {
                        "video": result.video,
                        "segment": number,
                        "start_seconds": segment.start_seconds,
                        "end_seconds": segment.end_seconds,
                        "label": segment.label,
                        "index": segment.index,
                        "score": f"{segment.score:.6f}",
                        "model": result.prediction.model,
                    }
                )
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: there is no footer."""
