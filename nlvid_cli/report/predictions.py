"""Predictions of an evaluation, video by video, as CSV or JSON Lines; see ``docs/evaluate.md``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from nlvid_cli.errors import UsageError
from nlvid_cli.evaluation.evaluate import ScoredVideo
from nlvid_cli.recognize.prediction import SCHEMA, Failure
from nlvid_cli.system.csv_lines import csv_writer

COLUMNS = (
    "video", "where", "actual", "predicted", "correct", "score", "actual_score", "actual_rank", "error_type",
    "error_message", "start_seconds", "end_seconds", "start_frame", "end_frame",
)  # fmt: skip
"""A row per video and actual label; ``actual_rank`` counts from 1. A failed video is one row with its error."""


class PredictionsWriter(Protocol):
    """Writes the predictions of videos, one by one."""

    def add(self, result: ScoredVideo | Failure) -> None:
        """Write one video."""


class CsvPredictions:
    """Writes a row per video and actual label."""

    def __init__(self, stream: TextIO, labels: Sequence[str]) -> None:
        self._stream = stream
        self._labels = labels
        self._rows = csv_writer(stream, COLUMNS)

    def add(self, result: ScoredVideo | Failure) -> None:
        """Write the rows of one video."""
        if isinstance(result, Failure):
            error = {"error_type": result.error.type, "error_message": result.error.message}
            self._rows.writerow({"video": result.video} | error | _stretch(result))
        else:
            self._write(result)
        self._stream.flush()

    def _write(self, result: ScoredVideo) -> None:
        best = result.predicted
        common = {
            "video": result.video,
            "where": result.where,
            "predicted": self._labels[best],
            "correct": str(best in result.actual).lower(),
            "score": f"{result.scores[best]:.6f}",
        } | _stretch(result)
        for actual in result.actual:
            of_actual = {"actual": self._labels[actual], "actual_score": f"{result.scores[actual]:.6f}"}
            self._rows.writerow(common | of_actual | {"actual_rank": result.rank(actual)})
        if not result.actual:
            self._rows.writerow(common)


class JsonLinesPredictions:
    """Writes an object per line, with the scores of all labels in the model's order."""

    def __init__(self, stream: TextIO, labels: Sequence[str]) -> None:
        self._stream = stream
        self._labels = labels

    def add(self, result: ScoredVideo | Failure) -> None:
        """Write the line of one video."""
        if isinstance(result, Failure):
            values = result.to_dict()
        else:
            values = {
                "video": result.video,
                **({} if result.stretch is None else {"stretch": result.stretch.to_dict()}),
                "where": result.where,
                "actual": [self._labels[index] for index in result.actual],
                "predicted": self._labels[result.predicted],
                "correct": result.predicted in result.actual,
                "scores": [float(score) for score in result.scores],
            }
        self._stream.write(json.dumps({"schema": SCHEMA, **values}) + "\n")
        self._stream.flush()


def _stretch(result: ScoredVideo | Failure) -> dict[str, float]:
    return {} if result.stretch is None else result.stretch.to_dict()


PREDICTIONS: dict[str, Callable[[TextIO, Sequence[str]], PredictionsWriter]] = {
    ".csv": CsvPredictions,
    ".jsonl": JsonLinesPredictions,
}
"""From the suffix of a file to the class that writes it."""


def predictions_writer(path: Path) -> Callable[[TextIO, Sequence[str]], PredictionsWriter]:
    """Return the writer for a file of this name.

    Raises:
        UsageError: The suffix is not a key of :data:`PREDICTIONS`.
    """
    if path.suffix.lower() not in PREDICTIONS:
        raise UsageError(f"{path}: predictions need a file name ending in {' or '.join(PREDICTIONS)}")
    return PREDICTIONS[path.suffix.lower()]
