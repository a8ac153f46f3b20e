from __future__ import annotations

import numpy as np

from nlvid_cli.recognize.timeline import ActionSegment
from nlvid_cli.report.timeline.curves import HEIGHT, WIDTH, curve, lanes
from tests.report.timeline.samples import long_timeline, made_timeline


def _points(text: str) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in (point.split(",") for point in text.split())]


def test_windows_stand_at_their_middle() -> None:
    timeline = made_timeline(((2.0, 3.0, 0),), 10.0)  # the window from 2 to 4 s
    points = _points(curve(timeline, 0, 0.0, 10.0))
    assert points[0] == (0, 95)
    assert points[-1] == (WIDTH, 95)
    assert (WIDTH * 3 // 10, 10) in points


def test_a_long_curve_keeps_its_peaks_and_no_more_points_than_can_be_seen() -> None:
    timeline = long_timeline(3, 36000.0)
    timeline.scores[:] = np.random.default_rng(0).uniform(0.1, 0.2, timeline.scores.shape)
    timeline.scores[20000, 1] = 1.0
    points = _points(curve(timeline, 1, 0.0, 36000.0))
    assert len(points) <= WIDTH + 1
    assert [x for x, y in points if y == 0] == [round(20001 / 36000 * WIDTH)]


def test_scores_that_stay_the_same_need_two_points() -> None:
    timeline = made_timeline((), 3600.0)
    assert _points(curve(timeline, 2, 0.0, 3600.0)) == [(0, 95), (WIDTH, 95)]
    assert HEIGHT == 100


def test_lanes() -> None:
    spans = [(0.0, 4.0), (1.0, 2.0), (2.0, 5.0), (3.0, 6.0), (4.0, 5.0)]
    assert lanes([ActionSegment(start, end, "a", 0, 0.9) for start, end in spans]) == [0, 1, 1, 2, 0]
