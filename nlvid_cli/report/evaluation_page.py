"""The page of an evaluation: figures, confusion, classes, and the worst mistakes in pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlvid_cli.errors import NlvidError
from nlvid_cli.evaluation.evaluate import Evaluation, ScoredVideo
from nlvid_cli.report.evaluation import FIGURE_NAMES, calibration_sentence, figure_name, percent, worst_first
from nlvid_cli.report.page import write_page
from nlvid_cli.report.table import how_it_was_looked_at, name_of

Thumbnail = Callable[[Path], bytes]

MISTAKES = 24
"""Number of videos shown as the worst mistakes."""

MATRIX_CLASSES = 40
"""Most classes of a confusion matrix with numbers; of more, it is a picture."""

PAIRS = 30
"""Number of confused pairs listed beside such a picture."""


def write_evaluation_page(path: Path, evaluation: Evaluation, thumbnail: Thumbnail | None = None) -> None:
    """Write the page of an evaluation.

    Args:
        path: Path of the file.
        evaluation: What to show.
        thumbnail: Makes a JPEG or PNG file of a video; None for :func:`nlvid_cli.video.thumbnail.thumbnail`.

    Raises:
        OutputError: The file cannot be written.
    """
    title = f"{evaluation.model} on {evaluation.source}"
    write_page(path, "evaluation", title=title, evaluation=evaluation_values(evaluation, thumbnail))


@dataclass(frozen=True)
class Matrix:
    """Confusion of the classes that occur: ``counts[actual][predicted]``."""

    names: tuple[str, ...]
    counts: list[list[int]]

    def share(self, row: int, column: int) -> float:
        """Return the share of the videos of a row that are in a column, in [0, 1]."""
        return self.counts[row][column] / max(sum(self.counts[row]), 1)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Return row and column of each pair that occurs."""
        return ((r, c) for r, row in enumerate(self.counts) for c, count in enumerate(row) if count)


@dataclass(frozen=True)
class Mistake:
    """A video with a wrong label: what was predicted, what it shows, and its thumbnail as a data URL, or nothing."""

    video: str
    predicted: str
    actual: str
    image: str


def evaluation_values(evaluation: Evaluation, thumbnail: Thumbnail | None = None) -> dict[str, Any]:
    """Return what ``templates/parts.html.j2`` shows of an evaluation."""
    return {
        "figures": _figures(evaluation),
        "protocol": how_it_was_looked_at(evaluation),
        "calibration": calibration_sentence(evaluation),
        "notes": evaluation.notes,
        "matrix": _matrix(evaluation),
        "most_numbers": MATRIX_CLASSES,
        "pairs": evaluation.confused_pairs(PAIRS),
        "is_single": evaluation.label_kind == "single",
        "figure_name": figure_name(evaluation),
        "classes": worst_first(evaluation),
        "mistakes": _mistakes(evaluation, thumbnail),
        "failures": [(name_of(failure), failure.error.message) for failure in evaluation.failures],
    }


def _figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    figures = [(FIGURE_NAMES[name], percent(value)) for name, value in evaluation.figures.items()]
    figures += [("calibration error", percent(evaluation.calibration.error)), ("videos", str(len(evaluation.videos)))]
    return figures + ([("failed", str(len(evaluation.failures)))] if evaluation.failures else [])


def _matrix(evaluation: Evaluation) -> Matrix | None:
    if evaluation.confusion is None:
        return None
    counts = evaluation.confusion
    used = np.flatnonzero(counts.any(axis=1) | counts.any(axis=0)).tolist()
    return Matrix(tuple(evaluation.labels[index] for index in used), counts[np.ix_(used, used)].tolist())


def _mistakes(evaluation: Evaluation, thumbnail: Thumbnail | None) -> list[Mistake]:
    worst = evaluation.worst_mistakes(MISTAKES)
    if worst and thumbnail is None:
        from nlvid_cli.video.thumbnail import thumbnail
    return [_mistake(evaluation, video, thumbnail) for video in worst if thumbnail is not None]


def _mistake(evaluation: Evaluation, video: ScoredVideo, thumbnail: Thumbnail) -> Mistake:
    scores, labels = video.scores, evaluation.labels
    wrong = max((i for i in range(len(labels)) if i not in video.actual), key=lambda i: (scores[i], -i))
    return Mistake(
        video=name_of(video),
        predicted=f"{labels[wrong]} ({scores[wrong]:.3f})",
        actual=", ".join(f"{labels[index]} ({scores[index]:.3f})" for index in video.actual),
        image=_data_url(video.video, thumbnail),
    )


def _data_url(video: str, thumbnail: Thumbnail) -> str:
    try:
        data = thumbnail(Path(video))
    except (NlvidError, OSError, ValueError):  # FFmpeg's errors are among these; the page does without the picture
        return ""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
