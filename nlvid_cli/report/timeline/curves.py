"""Curves and lanes of the page, in the units of its drawing: a thousand or so across, whatever the length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlvid_cli.recognize.timeline import ActionSegment, Timeline

WIDTH = 1200
"""Units across; no page is much wider in pixels, so more points would not be seen."""

HEIGHT = 100
"""Units up, for scores from 0 to 1."""


def curve(timeline: Timeline, index: int, start: float, end: float) -> str:
    """Return the scores of a label as points of an SVG polyline.

    Each window stands at its middle, the first and the last one also at the ends. Where several share a unit, the
    highest is drawn, so that no peak is lost.

    Args:
        timeline: Where the scores are.
        index: Index of the label.
        start: Time at the left border, in seconds.
        end: Time at the right border.
    """
    if not len(timeline.scores):
        return ""
    middles = (timeline.start_seconds + timeline.end_seconds) / 2
    seconds = np.concatenate([timeline.start_seconds[:1], middles, timeline.end_seconds[-1:]])
    scores = np.pad(timeline.scores[:, index], 1, "edge")
    xs = np.rint((seconds - start) / max(end - start, 1e-9) * WIDTH).astype(np.int64)
    ys = np.rint((1 - scores) * HEIGHT).astype(np.int64)
    highest: dict[int, int] = {}
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        highest[x] = min(y, highest.get(x, HEIGHT))
    return " ".join(f"{x},{y}" for x, y in _without_middles(sorted(highest.items())))


def _without_middles(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out points between two of the same height: most of a long video scores next to nothing."""
    return [
        point
        for number, point in enumerate(points)
        if number in (0, len(points) - 1) or not points[number - 1][1] == point[1] == points[number + 1][1]
    ]


def lanes(segments: Sequence[ActionSegment]) -> list[int]:
    """Return the lane of each segment, from 0, so that segments that overlap lie in different lanes.

    Args:
        segments: Segments, by start.
    """
    ends: list[float] = []
    chosen = []
    for segment in segments:
        free = next((lane for lane, end in enumerate(ends) if end <= segment.start_seconds), len(ends))
        ends[free : free + 1] = [segment.end_seconds]
        chosen.append(free)
    return chosen
