"""Frames of the published test protocols, against tables that were worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlvid_cli.card.card import Sampling
from nlvid_cli.video.clip_rules import CLIP_STARTS, Clock, Timeline, clip_span, truncated_linspace
from nlvid_cli.video.sample import SHORT_VIDEO

NTSC_30 = Fraction(30000, 1001)


def clips(
    rule: str, positions: int, frames: int, step: int, number: int = 10, rate: Fraction | int = 30, short: Any = "hold"
) -> list[list[int]]:
    """Frames at each position, after the rule for short videos."""
    sampling = Sampling(frames, step, number, rule, short)  # type: ignore[arg-type]
    chosen = CLIP_STARTS[rule](Timeline(positions, Fraction(rate)), sampling)
    assert chosen.dtype == np.int64
    assert chosen.shape == (number, frames)
    return SHORT_VIDEO[short](chosen, positions).tolist()


def starts(rule: str, positions: int, frames: int, step: int, number: int = 10, rate: Fraction | int = 30) -> list[int]:
    return [clip[0] for clip in clips(rule, positions, frames, step, number, rate)]


def counting(first: int, step: int, frames: int) -> list[int]:
    return [first + step * i for i in range(frames)]


def test_rules_are_those_that_cards_can_name() -> None:
    names = get_type_hints(Sampling)
    assert set(CLIP_STARTS) == set(get_args(names["clip_starts"]))
    assert set(SHORT_VIDEO) == set(get_args(names["short_video"]))


@pytest.mark.parametrize(
    ("positions", "frames", "step", "number", "expected"),
    [
        (15, 4, 2, 3, [0, 4, 8]),
        (300, 32, 2, 10, [0, 26, 53, 79, 105, 132, 158, 184, 211, 237]),  # 300 - 63 = 237; 237 / 9 = 26.33
        (301, 32, 2, 10, [0, 26, 53, 79, 106, 132, 159, 185, 212, 238]),  # 238 / 9 = 26.44
        (12, 4, 2, 3, [0, 2, 5]),  # 2.5 goes to the even 2
        (14, 4, 2, 3, [0, 4, 7]),  # 3.5 goes to the even 4
        (7, 4, 2, 4, [0, 0, 0, 0]),
        (3, 4, 2, 2, [0, 0]),
        (100, 32, 2, 1, [18]),  # 37 / 2 = 18.5, rounded down
        (102, 32, 2, 1, [19]),  # 39 / 2 = 19.5, rounded down too
        (10, 32, 2, 1, [0]),
        (1, 1, 1, 2, [0, 0]),
        # 29 / 14 = 2.07; as in the original, 7 * (29 / 14) is 14.500000000000002
        (30, 1, 1, 15, [0, 2, 4, 6, 8, 10, 12, 15, 17, 19, 21, 23, 25, 27, 29]),
    ],
)
def test_ends(positions: int, frames: int, step: int, number: int, expected: list[int]) -> None:
    assert starts("ends", positions, frames, step, number) == expected


def test_ends_takes_every_step_th_frame() -> None:
    assert clips("ends", 300, 32, 2)[9] == counting(237, 2, 32)  # up to 299
    assert clips("ends", 5, 4, 2, 2, short="loop") == [[0, 2, 4, 1]] * 2
    assert clips("ends", 5, 4, 2, 2, short="hold") == [[0, 2, 4, 4]] * 2


@pytest.mark.parametrize(
    ("positions", "frames", "step", "number", "expected"),
    [
        (15, 4, 2, 3, [0, 3, 7]),  # 15 - 8 = 7; 7 / 2 = 3.5
        (300, 32, 2, 10, [0, 26, 52, 78, 104, 131, 157, 183, 209, 236]),  # 300 - 64 = 236; 236 / 9 = 26.22
        (301, 32, 2, 10, [0, 26, 52, 79, 105, 131, 158, 184, 210, 237]),  # 237 / 9 = 26.33
        (65, 32, 2, 10, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (64, 32, 2, 10, [0] * 10),
        (63, 32, 2, 10, [0] * 10),
        (1, 32, 2, 10, [0] * 10),
        (101, 32, 2, 1, [18]),  # 37 / 2 = 18.5
        (45, 32, 1, 10, [0, 1, 2, 4, 5, 7, 8, 10, 11, 13]),  # pytorch-resnet3d: from centres 16 + k 13 / 9, truncated
    ],
)
def test_ends_truncated(positions: int, frames: int, step: int, number: int, expected: list[int]) -> None:
    assert starts("ends_truncated", positions, frames, step, number) == expected


def test_ends_truncated_takes_every_step_th_frame() -> None:
    assert clips("ends_truncated", 300, 32, 2)[9] == counting(236, 2, 32)  # up to 298
    assert clips("ends_truncated", 5, 4, 2, 2, short="loop") == [[0, 2, 4, 1]] * 2


@pytest.mark.parametrize(
    ("positions", "frames", "step", "number", "expected"),
    [
        (12, 3, 2, 3, [0, 2, 6]),  # the figure: list of 6; places 0, 1.5, 3
        # a list of 150; 118 / 9 = 13.11: places 0 13 26 39 52 65 78 91 104 118
        (300, 32, 2, 10, [0, 26, 52, 78, 104, 130, 156, 182, 208, 236]),
        # a list of 151 (frames 0, 2 ... 300); 119 / 9 = 13.22: places 0 13 26 39 52 66 79 92 105 119
        (301, 32, 2, 10, [0, 26, 52, 78, 104, 132, 158, 184, 210, 238]),
        (66, 32, 2, 10, [0] * 9 + [2]),  # a list of 33; 1 / 9
        (64, 32, 2, 10, [0] * 10),
        (10, 32, 2, 10, [0] * 10),
        (300, 32, 2, 1, [118]),  # place 118 / 2 = 59
    ],
)
def test_ends_strided(positions: int, frames: int, step: int, number: int, expected: list[int]) -> None:
    assert starts("ends_strided", positions, frames, step, number) == expected


@pytest.mark.parametrize("short", ["hold", "loop"])
def test_ends_strided_repeats_the_last_of_its_list(short: str) -> None:
    assert clips("ends_strided", 63, 32, 2, short=short) == [counting(0, 2, 32)] * 10  # up to 62
    assert clips("ends_strided", 62, 32, 2, short=short) == [[*counting(0, 2, 31), 60]] * 10
    assert clips("ends_strided", 6, 5, 2, 2, short=short) == [[0, 2, 4, 4, 4]] * 2  # not 5, the last of the video
    assert clips("ends_strided", 1, 4, 2, 2, short=short) == [[0, 0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("positions", "frames", "step", "number", "expected"),
    [
        (10, 4, 2, 2, [0, 5]),
        (300, 32, 2, 10, [0, 30, 60, 90, 120, 150, 180, 210, 240, 270]),
        (303, 32, 2, 10, [0, 30, 60, 90, 121, 151, 181, 212, 242, 272]),  # 30.3 60.6 90.9 121.2 151.5 181.8 ...
        (7, 8, 8, 10, [0, 0, 1, 2, 2, 3, 4, 4, 5, 6]),  # 0.7 1.4 2.1 2.8 3.5 4.2 4.9 5.6 6.3
        (1, 8, 8, 10, [0] * 10),
        (300, 8, 8, 1, [121]),  # (300 - 57) / 2 = 121.5
        (20, 8, 8, 1, [0]),
    ],
)
def test_wrapped(positions: int, frames: int, step: int, number: int, expected: list[int]) -> None:
    assert starts("wrapped", positions, frames, step, number) == expected


@pytest.mark.parametrize("short", ["loop", "hold"])
def test_wrapped_goes_on_at_the_start(short: str) -> None:
    assert clips("wrapped", 300, 32, 2, short=short)[9] == counting(270, 2, 15) + counting(0, 2, 17)
    assert clips("wrapped", 10, 4, 2, 2, short=short) == [[0, 2, 4, 6], [5, 7, 9, 1]]
    # 2 + 8 j = 2 10 18 26 34 42 50 58, less 20 as often as it goes
    assert clips("wrapped", 20, 8, 8, short=short)[1] == [2, 10, 18, 6, 14, 2, 10, 18]


@pytest.mark.parametrize(
    ("positions", "rate", "clip", "expected"),
    [
        (300, 30, 0, [0, 9, 18, 27, 36, 45, 54, 63]),  # a window of 64: linspace(0, 63, 8)
        (300, 30, 1, [23, 32, 41, 50, 59, 68, 77, 86]),  # (300 - 64) * 0.1 = 23.6, in steps of 9
        (300, 30, 9, [212, 221, 230, 239, 248, 257, 266, 275]),  # 212.4
        # a window of 64 * 25 / 30 = 53.33, steps of 52.33 / 7 = 7.476: 7.48 14.95 22.43 29.90 37.38 44.86 52.33
        (250, 25, 0, [0, 7, 14, 22, 29, 37, 44, 52]),
        (250, 25, 9, [177, 184, 191, 199, 206, 214, 221, 229]),  # 196.67 * 0.9 = 177.00
        # 63.936, steps of 62.936 / 7 = 8.9909: 8.99 17.98 26.97 35.96 44.95 53.95 62.94
        (300, NTSC_30, 0, [0, 8, 17, 26, 35, 44, 53, 62]),
        # 128, steps of 127 / 7 = 18.14: 18.14 36.29 54.43 72.57 90.71 108.86 127; (151 - 128) * 0.5 = 11.5
        (151, 60, 0, [0, 18, 36, 54, 72, 90, 108, 127]),
        (151, 60, 5, [11, 29, 47, 65, 84, 102, 120, 138]),
        (40, 30, 9, [0, 9, 18, 27, 36, 39, 39, 39]),  # 45 and later are beyond the end
        (1, 30, 3, [0] * 8),
        # 8 frames * 8 / 30 at 0.3 per second is 0.64, but never less than 1; (5 - 1) * 0.9 = 3.6
        (5, Fraction(3, 10), 9, [3] * 8),
    ],
)
def test_scaled_windows_of_a_whole_video(positions: int, rate: Fraction | int, clip: int, expected: list[int]) -> None:
    assert clips("scaled_windows", positions, 8, 8, rate=rate)[clip] == expected


def cut_clips(
    frames: int, rate: float, per_second: int, *, stated: int | None = None, number: int = 10, first: int = 0
) -> list[list[int]]:
    """Clips of 8 frames with step 8 of a video with time stamps, ``per_second`` of them in a second."""
    stamps = np.round(np.arange(frames) * per_second / rate).astype(np.int64) + first
    clock = Clock((stated or frames) / rate, rate, float(per_second), stamps)
    timeline = Timeline(frames, Fraction(rate), clock)
    return CLIP_STARTS["scaled_windows"](timeline, Sampling(8, 8, number, "scaled_windows", "hold")).tolist()


@pytest.mark.parametrize(
    ("frames", "rate", "per_second", "clip", "expected"),
    [
        # 23.6 to 86.6: frames 24 to 86, of which the window of 64 would take 0 9 18 27 36 45 54 63
        (300, 30.0, 15360, 1, [24, 33, 42, 51, 60, 69, 78, 86]),
        (300, 30.0, 1000, 1, [24, 33, 42, 51, 60, 69, 78, 86]),  # in ms, 786 to 2886; frames 23 and 24 at 767 and 800
        (300, 30.0, 30, 1, [23, 32, 41, 50, 59, 68, 77, 86]),  # a stamp per frame: from 23 on
        (300, 30.0, 15360, 0, [0, 9, 18, 27, 36, 45, 54, 63]),
        (300, 30.0, 15360, 5, [118, 127, 136, 145, 154, 163, 172, 181]),  # 118 exactly
        (300, 30.0, 15360, 9, [213, 222, 231, 240, 249, 258, 267, 275]),  # 212.4 to 275.4
        # a window of 53.33: 177.00 to 229.33, that is 0 7 14 22 29 37 44 52 of frames 177 to 229
        (250, 25.0, 12800, 9, [177, 184, 191, 199, 206, 214, 221, 229]),
        # 60.67 to 113, which is 112.99999999999999 in floating point: frame 113 is one stamp later
        (205, 25.0, 12800, 4, [61, 68, 75, 83, 90, 98, 105, 113]),
        # 64 frames are decoded whole: 10.67 * 0.9 = 9.6, 9.6 17.08 24.55 32.03 39.50 46.98 54.46 61.93; 65 are cut
        (64, 25.0, 12800, 9, [9, 17, 24, 32, 39, 46, 54, 61]),
        (65, 25.0, 12800, 9, [11, 18, 25, 33, 40, 48, 55, 62]),  # 10.5 to 62.83
        # 100 frames at 60 are shorter than the window of 128: from 0 on, at most the last
        (100, 60.0, 15360, 9, [0, 18, 36, 54, 72, 90, 99, 99]),
    ],
)
def test_scaled_windows_are_cut_by_time_stamps(
    frames: int, rate: float, per_second: int, clip: int, expected: list[int]
) -> None:
    assert cut_clips(frames, rate, per_second)[clip] == expected


def test_the_cut_of_a_single_scaled_window() -> None:
    assert cut_clips(300, 30.0, 15360, number=1) == [counting(118, 9, 8)]
    assert cut_clips(301, 30.0, 15360, number=1) == [[119, 128, 137, 146, 155, 164, 173, 181]]  # 118.5 to 181.5


def test_cut_windows_where_fewer_frames_are_there_than_stated() -> None:
    found = cut_clips(200, 30.0, 15360, stated=300)
    assert found[6] == [142, 151, 160, 169, 178, 187, 196, 199]  # 141.6 to 204.6
    assert found[8] == [189, 198, *[199] * 6]  # 188.8
    assert found[9] == counting(122, 9, 8)  # nothing after 212.4: 136 * 0.9 = 122.4 of those that are there


def test_cut_windows_where_stamps_do_not_start_at_zero() -> None:
    """Two frames late or early: the window has two frames less at its end, or they are before it."""
    assert cut_clips(300, 30.0, 15360, first=1024)[0] == [0, 9, 18, 27, 36, 45, 54, 61]
    assert cut_clips(300, 30.0, 15360, first=-1024)[0] == [2, 11, 20, 29, 38, 47, 56, 65]


@settings(deadline=None)
@given(
    st.integers(1, 700),
    st.sampled_from([(25.0, 12800), (30.0, 15360), (12.5, 90000), (59.94, 1000), (30.0, 30), (23.976, 24000)]),
    st.floats(0.9, 1.1),
    st.integers(-3000, 90000),
)
def test_cut_windows_hold_what_lies_inside(frames: int, grid: tuple[float, int], share: float, first: int) -> None:
    """Against the definition, frame by frame."""
    rate, per_second = grid
    stated = max(1, round(frames * share))
    found = cut_clips(frames, rate, per_second, stated=stated, first=first)
    window = 64 / 30 * rate
    stamps = np.round(np.arange(frames) * per_second / rate) + first
    for clip, numbers in enumerate(found):
        assert 0 <= min(numbers) <= max(numbers)
        start = max(rate * (stated / rate) - window, 0) * clip / 10
        low, high = int(start * (per_second / rate)), int((start + window - 1) * (per_second / rate))
        inside = [i for i, stamp in enumerate(stamps) if low <= stamp <= high + int(per_second / 10000)]
        if rate * (stated / rate) > 64 and inside:
            places = torch.linspace(0, window - 1, 8).clamp(0, len(inside) - 1).long()
            assert numbers == [inside[place] for place in places]


@pytest.mark.parametrize(
    ("positions", "rate", "clip", "expected"),
    [
        (300, 30, 0, [0, 9, 18, 27, 36, 45, 54, 63]),  # 64 frames from 0 on
        (300, 30, 1, [27, 36, 45, 54, 63, 72, 81, 90]),  # 236 / 9 = 26.22 to 90.22: 27 ... 90
        (300, 30, 9, [236, 245, 254, 263, 272, 281, 290, 299]),  # 236 to 300: 236 ... 299
        # a window of 53.33: 0 ... 53; steps of 53 / 7 = 7.57: 7.57 15.14 22.71 30.29 37.86 45.43 53
        (250, 25, 0, [0, 7, 15, 22, 30, 37, 45, 53]),
        # 196.67 to 250: 197 ... 249; steps of 52 / 7 = 7.43: 7.43 14.86 22.29 29.71 37.14 44.57 52
        (250, 25, 9, [197, 204, 211, 219, 226, 234, 241, 249]),
        # 300 - 63.936 = 236.064: 237 ... 299; steps of 62 / 7 = 8.857: 8.86 17.71 26.57 35.43 44.29 53.14 62
        (300, NTSC_30, 9, [237, 245, 254, 263, 272, 281, 290, 299]),
        # all 40; steps of 39 / 7 = 5.571: 5.57 11.14 16.71 22.29 27.86 33.43 39
        (40, 30, 9, [0, 5, 11, 16, 22, 27, 33, 39]),
        (5, 30, 0, [0, 0, 1, 1, 2, 2, 3, 4]),  # 0.57 1.14 1.71 2.29 2.86 3.43 4
        (1, 30, 3, [0] * 8),
        # at 0.3 per second a window of 0.64 may hold none: (5 - 0.64) * 2 / 9 = 0.97 to 1.61, and 1.45 to 2.09
        (5, Fraction(3, 10), 2, [1] * 8),
        (5, Fraction(3, 10), 3, [2] * 8),
        (5, Fraction(3, 10), 9, [4] * 8),  # 4.36 to 5 holds none: the last
    ],
)
def test_timed_windows(positions: int, rate: Fraction | int, clip: int, expected: list[int]) -> None:
    assert clips("timed_windows", positions, 8, 8, rate=rate)[clip] == expected


def test_timed_windows_begin_evenly() -> None:
    # multiples of 26.22, rounded up to the next frame
    assert starts("timed_windows", 300, 8, 8) == [0, 27, 53, 79, 105, 132, 158, 184, 210, 236]


def test_centred_segments() -> None:
    # 30 * 0.5 = 15: from 15 - 64 = -49 on, -1 is the 13th, then 3 7 ... 75
    assert clips("centred_segments", 300, 32, 4)[0] == [0] * 13 + counting(3, 4, 19)
    assert clips("centred_segments", 300, 32, 4)[5] == counting(101, 4, 32)  # 30 * 5.5 = 165, up to 225
    # 30 * 9.5 = 285: from 221 on, 297 is the 20th, then 301 and more
    assert clips("centred_segments", 300, 32, 4)[9] == counting(221, 4, 20) + [299] * 12
    # 240 frames: 24 * 0.5 = 12: from -52 on
    assert clips("centred_segments", 240, 32, 4)[0] == [0] * 13 + counting(0, 4, 19)
    assert clips("centred_segments", 1, 4, 4, 2) == [[0] * 4] * 2


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        # centres 0.5 1.5 2.5 ... 9.5, rounded to even: 0 2 2 4 4 6 6 8 8 10
        (10, [0, 2, 2, 4, 4, 6, 6, 8, 8, 9]),
        # 15.25 45.75 76.25 106.75 137.25 167.75 198.25 228.75 259.25 289.75
        (305, [15, 46, 76, 107, 137, 168, 198, 229, 259, 290]),
        # 15.5 46.5 77.5 108.5 139.5 170.5 201.5 232.5 263.5 294.5
        (310, [16, 46, 78, 108, 140, 170, 202, 232, 264, 294]),
    ],
)
def test_centres_are_rounded_to_even(positions: int, expected: list[int]) -> None:
    # of two frames with step 2, from centre - 2 on, the second is the centre
    assert [clip[1] for clip in clips("centred_segments", positions, 2, 2)] == expected


@pytest.mark.parametrize(
    ("rule", "frames", "step", "expected"),
    [
        ("scaled_windows", 8, 8, counting(118, 9, 8)),  # (300 - 64) / 2
        ("timed_windows", 8, 8, counting(118, 9, 8)),
        ("centred_segments", 32, 4, counting(150 - 64, 4, 32)),
        ("wrapped", 8, 8, counting(121, 8, 8)),
        ("ends_strided", 32, 2, counting(118, 2, 32)),
        ("ends_truncated", 32, 2, counting(118, 2, 32)),
        ("ends", 32, 2, counting(118, 2, 32)),  # 118.5, rounded down
    ],
)
def test_a_single_clip_lies_in_the_centre(rule: str, frames: int, step: int, expected: list[int]) -> None:
    assert clips(rule, 300, frames, step, 1) == [expected]


@pytest.mark.parametrize(
    ("rule", "frames", "step", "rate", "expected"),
    [
        ("ends", 32, 2, 25, 63),
        ("ends_strided", 32, 2, 25, 63),  # a list of 32 begins with 63 frames
        ("centred_segments", 32, 4, 24, 125),
        ("scaled_windows", 8, 8, 30, 64),
        ("timed_windows", 8, 8, 25, 53),  # 53.33
        ("timed_windows", 8, 8, Fraction(1, 10), 1),
    ],
)
def test_span_of_a_clip(rule: Any, frames: int, step: int, rate: Fraction | int, expected: int) -> None:
    assert clip_span(Timeline(1, Fraction(rate)), Sampling(frames, step, 10, rule, "hold")) == expected


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="a processor without FMA rounds twice")
@pytest.mark.parametrize("frames", [1, 2, 3, 8, 16, 32, 33])
def test_linspace_is_that_of_torch(frames: int) -> None:
    for positions in range(1, 700):
        for rate in (30.0, 25.0, 24.0, 60.0, 15.0, 12.5, 30000 / 1001, 24000 / 1001):
            window = max(1.0, 64 * rate / 30)
            start = max(positions - window, 0) * (positions % 10) / 10
            for first, last in ((start, start + window - 1), (0, positions - 1)):
                expected = torch.linspace(first, last, frames).long().tolist()
                assert truncated_linspace(first, last, frames).tolist() == expected, (first, last)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(CLIP_STARTS)),
    st.sampled_from(sorted(SHORT_VIDEO)),
    st.integers(1, 3000),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(1, 12),
    st.fractions(Fraction(1, 2), 240, max_denominator=1001),
)
def test_what_always_holds(
    rule: str, short: str, positions: int, frames: int, step: int, number: int, rate: Fraction
) -> None:
    found = np.array(clips(rule, positions, frames, step, number, rate, short))
    assert found.min() >= 0
    assert found.max() < positions
    assert found.tolist() == clips(rule, positions, frames, step, number, rate, short)
    sampling = Sampling(frames, step, number, rule, short)  # type: ignore[arg-type]
    if positions >= clip_span(Timeline(positions, rate), sampling):
        # nothing had to be repeated or held, so that the other rule for short videos gives the same
        other = {"loop": "hold", "hold": "loop"}[short]
        assert found.tolist() == clips(rule, positions, frames, step, number, rate, other)
        if rule != "wrapped":
            assert (np.diff(found, axis=1) >= 0).all()
            assert (np.diff(found[:, 0]) >= 0).all()
