from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlvid_cli.recognize.segments import find_segments
from nlvid_cli.recognize.timeline import ActionSegment, SegmentRule

LABELS = ("dancing", "eating", "running")
PLAIN = SegmentRule(every_seconds=1.0, smooth_seconds=0.0, begin=0.6, keep=0.4, shortest_seconds=0.0)


def segments_of(
    columns: Sequence[Sequence[float]],
    rule: SegmentRule = PLAIN,
    kind: str = "single",
    allowed: Sequence[int] = (0, 1, 2),
    min_score: float = 0.0,
) -> tuple[ActionSegment, ...]:
    """Segments of windows of two seconds, one every second; ``columns`` are the curves of the first labels."""
    scores = np.zeros((len(columns[0]), len(LABELS)), np.float32)
    scores[:, : len(columns)] = np.transpose(columns)
    starts = np.arange(len(scores), dtype=np.float64)
    return find_segments(scores, starts, starts + 2, LABELS, kind, rule, np.array(allowed), min_score)  # type: ignore[arg-type]


def times_of(*arguments: Any, **names: Any) -> list[tuple[str, float, float]]:
    found = segments_of(*arguments, **names)
    return [(segment.label, segment.start_seconds, segment.end_seconds) for segment in found]


def rule_of(**changes: float) -> SegmentRule:
    return SegmentRule(**(vars(PLAIN) | changes))


def test_a_border_against_nothing_is_where_the_curve_crosses_keep() -> None:
    """Centres are at 1, 2, ... seconds; the curve is at 0.4 half of the way up and a quarter of the way down."""
    assert times_of([[0.0, 0.0, 0.8, 0.8, 0.48, 0.16, 0.0]]) == [("dancing", 2.5, 5.25)]


def test_what_stays_between_the_thresholds_is_part_of_a_segment_only_beside_what_reaches_begin() -> None:
    assert times_of([[0.5, 0.5, 0.0, 0.0, 0.5, 0.8, 0.5, 0.0]]) == [("dancing", 4.8, 7.2)]


def test_a_segment_of_the_first_window_begins_with_the_video_and_one_of_the_last_ends_with_it() -> None:
    assert times_of([[0.8, 0.8]]) == [("dancing", 0.0, 3.0)]
    assert times_of([[0.8]]) == [("dancing", 0.0, 2.0)]
    assert times_of([[0.8, 0.0, 0.0, 0.8]]) == [("dancing", 0.0, 1.5), ("dancing", 3.5, 5.0)]


def test_the_border_between_two_labels_is_where_their_curves_cross() -> None:
    found = times_of([[1.0, 1.0, 0.75, 0.0], [0.0, 0.0, 0.25, 1.0]])
    assert [label for label, *_ in found] == ["dancing", "eating"]
    assert found[0][2] == found[1][1] == pytest.approx(3 + 1 / 3, abs=1e-6)


def test_a_label_that_never_begins_takes_nothing_from_one_that_did() -> None:
    assert times_of([[0.9, 0.9, 0.41, 0.9, 0.9], [0.1, 0.1, 0.59, 0.1, 0.1]]) == [("dancing", 0.0, 6.0)]


def test_labels_of_a_multi_label_model_overlap() -> None:
    curves = [[0.9, 0.9, 0.9, 0.9], [0.0, 0.8, 0.8, 0.0]]
    assert times_of(curves, kind="multi") == [("dancing", 0.0, 5.0), ("eating", 1.5, 3.5)]
    assert times_of(curves, kind="single") == [("dancing", 0.0, 5.0)]


def test_a_segment_that_is_too_short_goes_to_the_second_best() -> None:
    curves = [[0.9, 0.9, 0.45, 0.9, 0.9], [0.0, 0.0, 0.65, 0.0, 0.0]]
    assert [label for label, *_ in times_of(curves)] == ["dancing", "eating", "dancing"]
    assert times_of(curves, rule_of(shortest_seconds=1.5)) == [("dancing", 0.0, 6.0)]
    assert times_of(curves[1:], rule_of(shortest_seconds=1.5)) == []
    assert times_of(curves[1:], rule_of(shortest_seconds=1.5), kind="multi") == []


def test_what_fills_a_short_video_is_not_too_short() -> None:
    assert times_of([[0.8]], rule_of(shortest_seconds=9.0)) == [("dancing", 0.0, 2.0)]


def test_the_average_bridges_one_bad_window_and_drops_one_good_one() -> None:
    curve = [0.9, 0.9, 0.0, 0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0]
    assert len(times_of([curve])) == 3
    ((label, start, end),) = times_of([curve], rule_of(smooth_seconds=2.0))
    assert (label, start) == ("dancing", 0.0)
    assert 5 < end < 7


def test_scores_are_means_and_may_be_too_low() -> None:
    curve = [0.9, 0.7, 0.0, 0.0, 0.65]
    assert [segment.score for segment in segments_of([curve])] == pytest.approx([0.8, 0.65])
    assert [segment.score for segment in segments_of([curve], min_score=0.7)] == pytest.approx([0.8])


def test_only_allowed_labels_have_segments() -> None:
    curves = [[0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9]]
    assert [label for label, *_ in times_of(curves, allowed=[1, 2])] == ["eating"]


def test_no_windows_have_no_segments() -> None:
    assert times_of([[]]) == []
    assert times_of([[0.0]]) == []


@st.composite
def scenes(draw: st.DrawFn, steps: tuple[float, ...] = (0.0, 0.04, 1.0, 1.28, 30.0)) -> dict[str, Any]:
    """Any windows in order of time, ``steps`` apart, and any rule."""
    windows = draw(st.integers(0, 30))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.choice(steps, windows)).astype(np.float64)
    begin = draw(st.floats(0.05, 1.0))
    rule = SegmentRule(
        every_seconds=1.0,
        smooth_seconds=draw(st.sampled_from([0.0, 1.0, 2.56, 100.0])),
        begin=begin,
        keep=begin * draw(st.floats(0.0, 1.0)),
        shortest_seconds=draw(st.sampled_from([0.0, 0.5, 1.28, 5.0])),
    )
    classes = draw(st.integers(1, 6))
    return {
        "scores": rng.dirichlet(np.full(classes, 0.3), windows).astype(np.float32),
        "start_seconds": starts,
        "end_seconds": starts + draw(st.sampled_from([0.04, 1.0, 2.56])),
        "labels": [f"label {number}" for number in range(classes)],
        "kind": draw(st.sampled_from(["single", "multi"])),
        "rule": rule,
        "allowed": np.flatnonzero(rng.random(classes) < 0.8),
        "min_score": draw(st.sampled_from([0.0, 0.0, 0.5])),
    }


@given(scenes())
def test_what_holds_for_all_segments(scene: dict[str, Any]) -> None:
    found = find_segments(**scene)
    assert list(found) == sorted(found, key=lambda segment: (segment.start_seconds, segment.index))
    for segment in found:
        assert scene["start_seconds"][0] - 1e-6 <= segment.start_seconds <= segment.end_seconds
        assert segment.end_seconds <= scene["end_seconds"][-1] + 1e-6
        assert segment.index in scene["allowed"]
        assert segment.label == scene["labels"][segment.index]
        assert scene["min_score"] <= segment.score <= 1
        whole = scene["end_seconds"][-1] - scene["start_seconds"][0]
        shortest = min(scene["rule"].shortest_seconds, whole)
        assert segment.end_seconds - segment.start_seconds >= shortest - 2e-6
    for one, other in pairwise(found):
        if scene["kind"] == "single":
            assert one.end_seconds <= other.start_seconds
    for index in {segment.index for segment in found}:
        own = [segment for segment in found if segment.index == index]
        assert all(one.end_seconds <= other.start_seconds for one, other in pairwise(own))


@given(scenes(steps=(0.04, 1.0, 1.28, 30.0)))
def test_every_segment_reaches_begin_and_stays_at_keep(scene: dict[str, Any]) -> None:
    """Without averages, the scores themselves must show it."""
    scene["rule"] = SegmentRule(**(vars(scene["rule"]) | {"smooth_seconds": 0.0}))
    centres = (scene["start_seconds"] + scene["end_seconds"]) / 2
    assert (np.diff(centres) > 1e-3).all()  # windows of one instant are always averaged
    for segment in find_segments(**scene):
        inside = (centres > segment.start_seconds + 2e-6) & (centres < segment.end_seconds - 2e-6)
        assert (scene["scores"][inside, segment.index] >= scene["rule"].keep - 1e-6).all()
        assert scene["scores"][:, segment.index].max() >= scene["rule"].begin


@given(scenes(), st.floats(0.0, 1000.0))
def test_later_windows_have_later_segments(scene: dict[str, Any], delay: float) -> None:
    found = find_segments(**scene)
    times = {"start_seconds": scene["start_seconds"] + delay, "end_seconds": scene["end_seconds"] + delay}
    later = find_segments(**(scene | times))
    if len(found) == len(later):  # a length right at the shortest may round to either side
        for one, other in zip(found, later, strict=True):
            assert other.start_seconds - one.start_seconds == pytest.approx(delay, abs=1e-5)
