from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.info import Header, VideoFacts, VideoInfo
from nlvid_cli.video.segment import Stretch
from nlvid_cli.video.trim import trim


@pytest.fixture
def info() -> VideoInfo:
    """100 frames, 25 a second."""
    return VideoInfo(Path("a.mp4"), np.arange(100) / 25, VideoFacts(4.0, 25.0, False, 64, 48))


def test_without_times_it_is_the_video_itself(info: VideoInfo) -> None:
    part, first = trim(info, None)
    assert part is info
    assert first == 0


def test_a_part_in_the_middle(info: VideoInfo) -> None:
    part, first = trim(info, Stretch(1.0, 3.0))
    assert first == 25  # the frame shown at 1.0 s; the last one is shown at 2.96 s
    assert len(part.times_seconds) == 50
    assert part.times_seconds[0] == 0.0
    assert part.times_seconds[-1] == pytest.approx(1.96)
    assert part.facts.duration_seconds == pytest.approx(2.0)
    assert part.facts.frame_rate == pytest.approx(25.0)


def test_a_part_states_its_own_length(info: VideoInfo) -> None:
    """PySlowFast's windows are those of a file that was cut out, and starts at 0."""
    info = replace(info, header=Header(4000, 25.0, Fraction(1, 1000), first_stamp=80))
    assert trim(info, Stretch(1.0, 3.0))[0].header == Header(2000, 25.0, Fraction(1, 1000), first_stamp=0)


def test_ends_may_be_open_or_beyond(info: VideoInfo) -> None:
    assert trim(info, Stretch(None, 2.0))[0].facts.duration_seconds == pytest.approx(2.0)
    for end in (None, 99.0):
        part, first = trim(info, Stretch(3.5, end))
        assert first == 88  # shown at 3.52 s
        assert part.facts.duration_seconds == pytest.approx(0.48)
        assert len(part.times_seconds) == 12


def test_a_part_by_frames(info: VideoInfo) -> None:
    part, first = trim(info, Stretch(start_frame=10, end_frame=60))
    assert (first, len(part.times_seconds)) == (10, 50)
    assert part.facts.duration_seconds == pytest.approx(2.0)
    assert len(trim(info, Stretch(end_frame=500))[0].times_seconds) == 100
    assert trim(info, Stretch(start_frame=99))[1] == 99


@pytest.mark.parametrize("stretch", [Stretch(4.0, 14.0), Stretch(2.01, 2.02), Stretch(start_frame=100)])
def test_a_part_without_frames_is_an_error(info: VideoInfo, stretch: Stretch) -> None:
    with pytest.raises(UnreadableVideo, match=r"no frame .* 4\.00 s"):
        trim(info, stretch)
