"""All scores of all windows in a file: ``.npz`` for numpy, ``.csv`` for anything else; see ``docs/json.md``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.report.output import open_whole
from nlvid_cli.system.atomic import atomic_file, behind_links
from nlvid_cli.system.csv_lines import csv_cells


def write_scores(timeline: Timeline, path: Path) -> None:
    """Write the scores of a timeline, whole or not at all.

    Args:
        timeline: What to write.
        path: Path of the file; its suffix chooses the form.

    Raises:
        UsageError: The suffix is not a key of :data:`SCORE_FILES`.
        OutputError: The file cannot be written.
    """
    require_score_suffix(path)
    SCORE_FILES[path.suffix.lower()](timeline, path)


def require_score_suffix(path: Path) -> None:
    """Refuse a name that does not say which form the scores get.

    Raises:
        UsageError: The suffix is not a key of :data:`SCORE_FILES`.
    """
    if path.suffix.lower() not in SCORE_FILES:
        raise UsageError(f"{path}: scores need a file name ending in {' or '.join(SCORE_FILES)}")


def _write_npz(timeline: Timeline, path: Path) -> None:
    """Write arrays without objects, which ``numpy.load(path, allow_pickle=False)`` reads."""
    try:
        with atomic_file(behind_links(path)) as part, part.open("wb") as file:
            np.savez_compressed(
                file,
                scores=np.asarray(timeline.scores, np.float32),
                start_seconds=np.asarray(timeline.start_seconds, np.float64),
                end_seconds=np.asarray(timeline.end_seconds, np.float64),
                labels=np.array(timeline.labels, np.str_),
                video=np.array(timeline.video, np.str_),
                model=np.array(timeline.prediction.model, np.str_),
            )
    except OSError as error:
        raise OutputError(f"{path}: cannot write ({error.strerror})") from None


def _write_csv(timeline: Timeline, path: Path) -> None:
    with open_whole(path) as stream:
        rows = csv_cells(stream)
        rows.writerow(["start_seconds", "end_seconds", *timeline.labels])
        for start, end, scores in zip(timeline.start_seconds, timeline.end_seconds, timeline.scores, strict=True):
            rows.writerow([round(float(start), 6), round(float(end), 6), *(f"{score:.6g}" for score in scores)])


SCORE_FILES: dict[str, Callable[[Timeline, Path], None]] = {".npz": _write_npz, ".csv": _write_csv}
"""From the suffix of a file to the function that writes it."""
