"""Which packets become frames, and where time starts again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlvid_cli.video.frame_table import (
    MOST_REORDERED,
    PacketColumns,
    counted_table,
    joints_of_packets,
    promised_stamps,
    trusted_table,
)


def columns(pts: list[int | None], dts: list[int | None] | None = None, **changes: list[int]) -> PacketColumns:
    """Packets of 1,000 bytes and a duration of 40; the first is a key frame."""
    count = len(pts)
    return PacketColumns(
        pts=pts,
        dts=dts or [None] * count,
        durations=[40] * count,
        sizes=changes.get("sizes", [1000] * count),
        keys=[number in changes.get("keys", [0]) for number in range(count)],
        shown=[number not in changes.get("hidden", []) for number in range(count)],
    )


def reordered(times: list[int], distance: int, seed: int) -> list[int]:
    """The same times, each at most ``distance`` places early or late: in the order of a decoder that holds as many."""
    rng = np.random.default_rng(seed)
    return [times[place] for place in np.argsort(np.arange(len(times)) + rng.uniform(0, distance, len(times)))]


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=200), st.integers(0, 10**6))
def test_pauses_are_not_joints(steps: list[int], seed: int) -> None:
    """Whatever the pauses are, up to 16 frames may be held back."""
    times = np.cumsum(steps).tolist()
    assert joints_of_packets(columns(reordered(times, MOST_REORDERED, seed))) == []


@given(st.integers(MOST_REORDERED + 1, 60), st.integers(1, 60), st.integers(0, 10**6))
def test_recordings_one_after_the_other_are_found_by_presentation_times(first: int, second: int, seed: int) -> None:
    before = reordered([1000 + 40 * number for number in range(first)], 4, seed)
    after = [40 * number for number in range(min(second, 20))]
    assert joints_of_packets(columns(before + after)) == [first]


@given(st.integers(2, 15), st.integers(1, 15))
def test_short_recordings_are_found_by_decoding_times(first: int, second: int) -> None:
    dts = [40 * number for number in range(first)] + [40 * number for number in range(second)]
    packets = columns(list(dts), list(dts), keys=[0, first])
    assert joints_of_packets(packets) == [first]
    table = counted_table(list(dts), packets, 40, 0.001)
    assert table.stamps == pytest.approx(40 * np.arange(first + second))
    assert "2 recordings" in table.warnings[0]


def test_a_decoding_time_that_goes_back_within_a_recording_is_a_fault_of_one_packet() -> None:
    dts = [40 * number for number in range(30)]
    dts[10] -= 80
    assert joints_of_packets(columns([40 * number for number in range(30)], list(dts))) == []


def test_the_table_begins_with_the_first_picture() -> None:
    pts = [40 * number for number in range(50)]
    table = trusted_table(columns(list(pts), keys=[0, 20, 40]), "h264", "mpegts", [800, 840], 0.001)
    assert table is not None
    assert table.stamps.tolist() == pts[20:]
    assert table.key_frames.tolist() == [0, 20]
    assert "first 0.80 s" in table.warnings[0]


@pytest.mark.parametrize(
    ("codec", "file_format", "changes", "first_pts"),
    [
        ("wmv2", "asf", {}, [0, 40]),
        ("h264", "avi", {}, [0, 40]),
        ("mpeg4", "mov", {"sizes": [1000] * 5 + [7] + [1000] * 4}, [0, 40]),
        ("h264", "mpegts", {}, [0, 80]),  # a packet without a picture in between: a field
        ("h264", "mpegts", {}, [20, 40]),  # not in the table
        ("h264", "mpegts", {}, [None, None]),
    ],
)
def test_packets_are_not_trusted(codec: str, file_format: str, changes: dict[str, list[int]], first_pts: list) -> None:
    pts: list[int | None] = [40 * number for number in range(10)]
    assert trusted_table(columns(pts, **changes), codec, file_format, first_pts, 0.001) is None


def test_what_packets_promise() -> None:
    pts: list[int | None] = [0, 80, 40, 120, 200, 160]
    assert promised_stamps(columns(pts), "wmv2", [0, 40]) == [0, 40, 80, 120, 160, 200]
    assert promised_stamps(columns(pts), "rv40", [80, 120]) == [80, 120, 160, 200]  # two do not decode
    assert promised_stamps(columns(pts, sizes=[9, 9, 1, 9, 9, 9]), "mpeg4", [0, 80]) == [0, 80, 120, 160, 200]
    assert promised_stamps(columns([None] * 6), "h264", [None, None]) == [None] * 6
    for unsure, first in (([0, None, 80], 0), ([0, 40, 80], None), ([0, 40, 80], 20)):
        assert promised_stamps(columns(unsure), "wmv2", [first]) is None


def test_pictures_without_times_are_evenly_spaced() -> None:
    table = counted_table([None, 40, 80], columns([0, 40, 80]), 50, 0.001)
    assert table.stamps.tolist() == [0, 0.02, 0.04]
    assert "no time stamps" in table.warnings[0]
