"""The clips of a video, chosen and decoded in one go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlvid_cli.card.card import Preprocess, Sampling
from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video import from_start, probe, read
from nlvid_cli.video.clips import decode_clips
from nlvid_cli.video.sample import sample
from nlvid_cli.video.segment import Segment, Stretch
from nlvid_cli.video.trim import trim
from tests.clips import copy_packets, decode_all, make_clip

SAMPLING = Sampling(frames=4, step=2, clips=3, clip_starts="ends", short_video="loop")
RULES = Preprocess(48, 48, 3, "swscale_bilinear", (127.5,) * 3, (127.5,) * 3)

COUNTED: dict[str, dict[str, Any]] = {
    "mpeg4.avi": {"codec": "mpeg4"},
    "h264.avi": {},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "wmv2.wmv": {"codec": "wmv2"},
    "flv1.flv": {"codec": "flv"},
    "rv20.rm": {"codec": "rv20", "size": (176, 144)},
    "raw.h264": {},
    "raw.hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:pools=none:frame-threads=1"}},
}


def expected_frames(path: Path) -> np.ndarray:
    """Frames of the clips, chosen from the pictures that a plain decoding counts."""
    info = probe.probe(path)
    assert len(info.times_seconds) == len(decode_all(path)[1])
    return read.read_frames(info, sample(info, SAMPLING).frame_numbers, 48).frames


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What decoded a whole video, in order."""
    seen: list[str] = []

    def spied(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(probe, "_decoded_stamps", spied("count", probe._decoded_stamps))
    monkeypatch.setattr(from_start, "decode_everything", spied("read", from_start.decode_everything))
    return seen


@pytest.mark.parametrize("name", COUNTED)
def test_videos_that_must_be_counted_are_decoded_once(tmp_path: Path, name: str, decodings: list[str]) -> None:
    clip = make_clip(tmp_path / name, **COUNTED[name])
    expected = expected_frames(clip)
    decodings.clear()
    frames, table = decode_clips(Segment(clip), SAMPLING, RULES)
    assert decodings == ["read"]
    assert np.array_equal(frames, expected)
    assert table.facts == probe.probe(clip).facts


def test_a_broken_promise_is_read_again(tmp_path: Path, decodings: list[str]) -> None:
    """The first ten packets show nothing, and nothing says so."""
    even = {"x264-params": "scenecut=0:keyint=30"}
    whole = make_clip(tmp_path / "whole.mkv", frames=100, gop=30, b_frames=0, options=even)
    clip = copy_packets(whole, tmp_path / "clip.h264", drop=range(10))
    expected = expected_frames(clip)
    decodings.clear()
    frames, table = decode_clips(Segment(clip), SAMPLING, RULES)
    assert decodings == ["read", "read"]
    assert np.array_equal(frames, expected)
    assert table.facts == probe.probe(clip).facts
    assert not any("wanted frames" in warning for warning in table.warnings)


def test_a_part_of_a_video_that_must_be_counted(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", codec="mpeg4", frames=100)
    info = probe.probe(clip)
    part, first = trim(info, Stretch(1.0, 2.0))
    numbers = sample(part, SAMPLING).frame_numbers + first
    frames, _ = decode_clips(Segment(clip, Stretch(1.0, 2.0)), SAMPLING, RULES)
    assert np.array_equal(frames, read.read_frames(info, numbers, 48).frames)
    with pytest.raises(UnreadableVideo, match="no frame in"):
        decode_clips(Segment(clip, Stretch(90.0, 91.0)), SAMPLING, RULES)
