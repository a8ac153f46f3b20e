"""Timelines to render, made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlvid_cli.recognize.prediction import ClipPrediction, LabelScore
from nlvid_cli.recognize.timeline import ActionSegment, SegmentRule, Timeline
from nlvid_cli.video.info import VideoFacts
from tests.report.samples import PREDICTION

LABELS = ("run", "walk <b>&", "sit --> down", "jump")
RULE = SegmentRule(every_seconds=1.0, smooth_seconds=2.0, begin=0.5, keep=0.3, shortest_seconds=1.0)


def made_timeline(
    segments: tuple[tuple[float, float, int], ...] = ((1.0, 3.5, 0), (3.5, 6.0004, 1), (8.0, 10.01, 2)),
    duration: float = 10.01,
    labels: tuple[str, ...] = LABELS,
    **changes: object,
) -> Timeline:
    """A window every second; the label of a segment scores 0.9 there, and 0.05 elsewhere.

    Args:
        segments: start, end and index of the label.
        duration: of the video, in seconds.
        labels: names of all labels.
        changes: of the prediction.
    """
    starts = np.arange(0, duration, 1.0)
    ends = np.minimum(starts + 2, duration)
    scores = np.full((len(starts), len(labels)), 0.05, np.float32)
    for start, end, index in segments:
        scores[(starts >= start) & (starts < end), index] = 0.9
    windows = tuple(
        ClipPrediction(float(start), float(end), (LabelScore(labels[best], int(best), float(row[best])),))
        for start, end, row, best in zip(starts, ends, scores, scores.argmax(axis=1), strict=True)
    )
    facts = VideoFacts(duration, 25.0, False, 320, 240)
    prediction = replace(PREDICTION, **({"facts": facts, "clips": windows} | changes))  # type: ignore[arg-type]
    found = tuple(ActionSegment(start, end, labels[index], index, 0.9) for start, end, index in segments)
    return Timeline(prediction, found, RULE, labels, scores, starts, ends)


def overlapping() -> Timeline:
    """Two labels that are on together from 4 to 5 s."""
    return made_timeline(((1.0, 5.0, 0), (4.0, 8.0, 1)), label_kind="multi")


def long_timeline(segments: int = 200, duration: float = 3600.0) -> Timeline:
    """An hour with many segments of long names."""
    names = tuple(
        f"label {number}: a very long name of an action that nobody would fit in a line, нет, 动作, عمل"
        for number in range(45)
    )
    step = duration / segments
    spans = tuple((number * step, number * step + step * 0.7, number % 45) for number in range(segments))
    return made_timeline(spans, duration, names)
