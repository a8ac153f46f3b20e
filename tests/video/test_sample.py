"""Chosen frames, compared with tables worked out by hand and with properties that always hold."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlvid_cli.card.card import Sampling
from nlvid_cli.video.clip_rules import Timeline, ends
from nlvid_cli.video.info import Header, VideoFacts, VideoInfo
from nlvid_cli.video.sample import exact_rate, hold, loop, nearest_frames, sample


def video(times: list[float], duration: float | None = None, uneven: bool = False) -> VideoInfo:
    seconds = np.array(times, np.float64)
    end = duration if duration is not None else float(seconds[-1] + 0.04)
    return VideoInfo(Path("x"), seconds, VideoFacts(end, len(times) / end, uneven, 64, 48))


def even(frames: int, rate: float = 25.0) -> VideoInfo:
    return video((np.arange(frames) / rate).tolist(), frames / rate)


def rules(clips: int, frames: int, step: int, rate: float | None = None) -> Sampling:
    return Sampling(frames=frames, step=step, clips=clips, clip_starts="ends", short_video="loop", frame_rate=rate)


def test_short_videos_are_held() -> None:
    assert hold(np.arange(-2, 5), 3).tolist() == [0, 0, 0, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("rule", "short", "span", "what"),
    [
        ("ends", "loop", 57, "its frames are repeated"),
        ("ends_truncated", "hold", 57, "its last frame is held"),
        ("ends_strided", "loop", 57, "its last frame is held"),
        ("wrapped", "hold", 57, "its frames are repeated"),
        ("scaled_windows", "hold", 64, "its last frame is held"),
        ("timed_windows", "hold", 64, "its frames are taken closer together"),
        ("centred_segments", "loop", 57, "its first and last frames are held"),
    ],
)
def test_short_videos_have_a_warning(rule: Any, short: Any, span: int, what: str) -> None:
    sampling = Sampling(8, 8, 10, rule, short)
    assert sample(even(span, 30.0), sampling).warnings == ()
    message = f"the video is shorter than one clip ({span - 1} of {span} frames): {what}"
    assert sample(even(span - 1, 30.0), sampling).warnings == (message,)


def test_windows_in_seconds_follow_the_rate() -> None:
    """64 / 30 seconds, of the frames as they are, of a grid over uneven frames, and of a grid at the card's rate."""
    sampling = Sampling(8, 8, 2, "scaled_windows", "hold")
    assert sample(even(300, 60.0), sampling).frame_numbers[0].tolist() == [0, 18, 36, 54, 72, 90, 108, 127]
    expected = [0, 9, 18, 27, 36, 45, 54, 63]
    assert sample(even(300, 30.0), sampling).frame_numbers[0].tolist() == expected
    uneven = video((np.arange(300) / 30).tolist(), 10.0, uneven=True)
    assert sample(uneven, sampling).frame_numbers[0].tolist() == expected
    # 60 frames a second looked at 30 times a second: every other frame
    doubled = sample(even(600, 60.0), replace(sampling, frame_rate=30.0)).frame_numbers[0]
    assert doubled.tolist() == [2 * number for number in expected]


CUT = [24, 33, 42, 51, 60, 69, 78, 86]
COUNTED = [23, 32, 41, 50, 59, 68, 77, 86]
"""Clip 1 of 300 frames at 30 per second, which starts at 23.6."""


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (Header(153600, 30.0, Fraction(1, 15360)), CUT),
        (Header(10000, 30.0, Fraction(1, 1000)), CUT),
        (Header(300, 30.0, Fraction(1, 30)), COUNTED),  # a stamp per frame: 23.6 is 23
        (Header(270000, 30.0, Fraction(1, 27000), first_stamp=1800), [22, 31, 40, 49, 58, 67, 76, 84]),  # 2 frames late
        (Header(900000, 30.0, Fraction(1, 90000), first_stamp=45000), CUT),  # MPEG program stream: 0.5 s late
        (Header(900000, 30.0, Fraction(1, 90000), first_stamp=126000), CUT),  # MPEG-TS: 1.4 s late
        (Header(900000, 30.0, Fraction(1, 90000), first_stamp=1 << 33), CUT),
        (Header(900000, 30.0, Fraction(1, 90000), first_stamp=-(1 << 33)), CUT),
        (None, COUNTED),
        (Header(164000, 30.0, Fraction(1, 15360)), COUNTED),  # states 320 frames: believed no longer
        (Header(10000, 1000.0, Fraction(1, 1000)), COUNTED),  # the rate is that of the clock
        (Header(1 << 62, 30.0, Fraction(1, 15360)), COUNTED),
    ],
)
def test_windows_are_cut_where_the_file_states_its_length(header: Header | None, expected: list[int]) -> None:
    sampling = Sampling(8, 8, 10, "scaled_windows", "hold")
    info = replace(even(300, 30.0), header=header)
    assert sample(info, sampling).frame_numbers[1].tolist() == expected
    uneven = replace(info, facts=replace(info.facts, variable_frame_rate=True))
    assert sample(uneven, sampling).frame_numbers[1].tolist() == COUNTED


@pytest.mark.parametrize(
    ("frames", "duration", "expected"),
    [
        (300, 10.0, Fraction(30)),
        (300, 10.01, Fraction(30000, 1001)),
        (30, 1.001, Fraction(30000, 1001)),
        (240, 10.01, Fraction(24000, 1001)),
        (301, 10.034, Fraction(30)),  # 10.0333 s in whole milliseconds: 10.000 + 0.034
        (301, 10.043, Fraction(30000, 1001)),  # 10.0434 s: 10.010 + 0.033
        (125, 10.0, Fraction(25, 2)),
        (3, 9.0, Fraction(1, 3)),
        (1, 0.04, Fraction(25)),
        (3, 30000.0, Fraction(3, 30000)),
    ],
)
def test_exact_rate(frames: int, duration: float, expected: Fraction) -> None:
    assert exact_rate(frames, duration) == pytest.approx(expected, rel=1e-12)


def test_short_videos_start_again() -> None:
    assert loop(np.arange(7), 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    plan = sample(even(5), rules(2, 4, 2))
    assert plan.frame_numbers.tolist() == [[0, 2, 4, 1], [0, 2, 4, 1]]
    assert plan.start_seconds == (0.0, 0.0)
    assert plan.end_seconds == pytest.approx((0.2, 0.2))


def test_one_frame() -> None:
    plan = sample(even(1), rules(3, 4, 2))
    assert plan.frame_numbers.tolist() == [[0] * 4] * 3
    assert plan.end_seconds == pytest.approx((0.04,) * 3)


def test_even_frames_are_taken_by_number() -> None:
    plan = sample(even(20), rules(2, 3, 4))
    assert plan.frame_numbers.tolist() == [[0, 4, 8], [11, 15, 19]]
    assert plan.frame_numbers.dtype == np.int64
    assert plan.start_seconds == pytest.approx((0.0, 11 / 25))
    assert plan.end_seconds == pytest.approx((9 / 25, 20 / 25))


def test_a_fixed_rate_counts_time() -> None:
    # 50 frames a second looked at 25 times a second: every other frame
    assert sample(even(40, 50.0), rules(1, 5, 1, rate=25.0)).frame_numbers.tolist() == [[14, 16, 18, 20, 22]]
    # 12.5 frames a second: each frame twice; a position halfway between two frames takes the earlier
    assert sample(even(5, 12.5), rules(1, 10, 1, rate=25.0)).frame_numbers.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]]


def test_uneven_frames_are_taken_by_time() -> None:
    #   seconds  0   1   2   3   4   5   6   7   8      5 frames in 10 seconds: a position every 2 seconds
    #   frames   0 1 2               3               (4 at 8)
    times = [0.0, 1.0, 2.0, 5.0, 8.0]
    plan = sample(video(times, 10.0, uneven=True), rules(1, 5, 1))
    assert plan.frame_numbers.tolist() == [[0, 2, 3, 3, 4]]  # at 4 and 6, frame 3 (at 5) is nearest
    assert sample(video(times, 10.0), rules(1, 5, 1)).frame_numbers.tolist() == [[0, 1, 2, 3, 4]]


def test_a_jump_of_years_takes_no_memory() -> None:
    """As in recordings whose first time stamp is 0 and whose second one is that of the clock."""
    info = video([0.0, 0.04, 0.08, 1.7e9, 1.7e9 + 0.04], uneven=True)
    frames = sample(info, rules(clips=3, frames=3, step=2, rate=25.0)).frame_numbers
    assert frames.tolist() == [[0, 2, 2], [2, 2, 3], [3, 3, 4]]  # the middle of the jump is at 850000000.04 s


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(-1.0, 0), (0.0, 0), (0.49, 0), (0.5, 0), (0.51, 1), (1.0, 1), (2.0, 1), (2.1, 2), (9.0, 2)],
)
def test_nearest_frames(wanted: float, expected: int) -> None:
    assert nearest_frames(np.array([0.0, 1.0, 3.0]), np.array([wanted])).tolist() == [expected]


uneven_videos = st.builds(
    lambda gaps, uneven: video(np.cumsum([0, *gaps]).tolist(), float(sum(gaps)) + 0.1, uneven),
    st.lists(st.floats(0.001, 3.0), max_size=60),
    st.booleans(),
)
any_rules = st.builds(
    rules, st.integers(1, 12), st.integers(1, 64), st.integers(1, 9), st.none() | st.floats(1.0, 60.0)
)


@given(uneven_videos, any_rules)
def test_what_always_holds(info: VideoInfo, sampling: Sampling) -> None:
    plan = sample(info, sampling)
    assert plan.frame_numbers.shape == (sampling.clips, sampling.frames)
    assert plan.frame_numbers.min() >= 0
    assert plan.frame_numbers.max() < len(info.times_seconds)
    assert len(plan.start_seconds) == len(plan.end_seconds) == sampling.clips
    for start, end in zip(plan.start_seconds, plan.end_seconds, strict=True):
        assert 0 <= start < end <= info.facts.duration_seconds + 1e-9


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(1, 9), st.integers(1, 30))
def test_clips_lie_inside_and_in_order(positions: int, frames: int, step: int, clips: int) -> None:
    starts = ends(Timeline(positions, Fraction(25)), rules(clips, frames, step))[:, 0]
    span = (frames - 1) * step + 1
    assert (np.diff(starts) >= 0).all()
    assert starts.min() >= 0
    if positions >= span:
        assert starts.max() + span <= positions
        if clips > 1:
            assert starts[0] == 0
            assert starts[-1] + span == positions


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50, unique=True), st.floats(-5, 105))
def test_nearest_is_nearest(times: list[float], wanted: float) -> None:
    times = sorted(times)
    number = int(nearest_frames(np.array(times), np.array([wanted]))[0])
    assert abs(times[number] - wanted) <= min(abs(time - wanted) for time in times) + 1e-6
