"""CSV as in RFC 4180: a row per video and label."""

from __future__ import annotations

from typing import TextIO

from nlvid_cli.recognize.prediction import LabelScore, Prediction, Result
from nlvid_cli.system.csv_lines import csv_writer

COLUMNS = (
    "video", "clip", "start_seconds", "end_seconds", "rank", "label", "index", "score",
    "unsure", "model", "error_type", "error_message",
)  # fmt: skip
"""``clip`` counts from 1, and is empty for the whole video. A failed video is one row with an error."""


class CsvRenderer:
    """Writes rows for the whole video and, with ``timeline``, for each clip."""

    def __init__(self, stream: TextIO, timeline: bool) -> None:
        self._stream = stream
        self._timeline = timeline
        self._rows = csv_writer(stream, COLUMNS)

    def add(self, result: Result, elapsed_seconds: float) -> None:
        """Write the rows of one video."""
        if isinstance(result, Prediction):
            self._write(result, "", *_times(result), result.predictions)
            for number, clip in enumerate(result.clips if self._timeline else (), start=1):
                self._write(result, str(number), clip.start_seconds, clip.end_seconds, clip.predictions)
        else:
            times = {} if result.stretch is None else result.stretch.to_dict()
            self._rows.writerow(
                {
                    "video": result.video,
                    "start_seconds": times.get("start_seconds", ""),
                    "end_seconds": times.get("end_seconds", ""),
                    "error_type": result.error.type,
                    "error_message": result.error.message,
                }
            )
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: there is no footer."""

    def _write(self, result: Prediction, clip: str, start: float, end: float, best: tuple[LabelScore, ...]) -> None:
        for rank, prediction in enumerate(best, start=1):
            self._rows.writerow(
                {
                    "video": result.video,
                    "clip": clip,
                    "start_seconds": start,
                    "end_seconds": end,
                    "rank": rank,
                    "label": prediction.label,
                    "index": prediction.index,
                    "score": f"{prediction.score:.6f}",
                    "unsure": str(result.unsure).lower(),
                    "model": result.model,
                }
            )


def _times(result: Prediction) -> tuple[float, float]:
    """Return the start and the end, in seconds, of what was looked at: the video, or a stretch of it."""
    part, facts = result.stretch, result.facts
    if part is None:
        return 0.0, facts.duration_seconds
    start, end = part.start_seconds, part.end_seconds
    if part.start_frame is not None or part.end_frame is not None:
        start = (part.start_frame or 0) / facts.frame_rate
        end = None if part.end_frame is None else part.end_frame / facts.frame_rate
    end = facts.duration_seconds if end is None else min(end, facts.duration_seconds)
    return round(start or 0.0, 6), round(end, 6)
