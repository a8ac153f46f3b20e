"""A stream of frames gives the pictures of read_frames, each once and in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.card.card import Preprocess
from nlvid_cli.errors import InputShapeError
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.stream import BrokenPromiseError, FrameStream
from tests.clips import copy_packets, make_clip, spoil_packet

RULES = Preprocess(48, 48, 3, "swscale_bilinear", (127.5,) * 3, (127.5,) * 3)


def _assert_read(info: VideoInfo, wanted: list[int], threads: int = 1, rules: Preprocess = RULES) -> FrameStream:
    stream = FrameStream(info, np.array(wanted), rules, threads)
    got = [(number, picture) for number, picture in stream if picture is not None]
    assert [number for number, _ in got] == wanted
    expected = read_frames(info, np.array([wanted]), rules.short_side, rules.resize, rules.size).frames[0]
    np.testing.assert_array_equal(np.stack([picture for _, picture in got]), expected)
    return stream


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "clip.h264"])
@pytest.mark.parametrize("wanted", [list(range(80)), [0, 3, 40, 41, 79], [25]])
def test_the_same_pictures_as_read_frames(tmp_path: Path, name: str, wanted: list[int]) -> None:
    info = probe(make_clip(tmp_path / name, frames=80))
    for threads in (1, 2):
        assert _assert_read(info, wanted, threads).warnings() == ()


@pytest.mark.parametrize("resize", ["opencv_bilinear", "float_bilinear"])
def test_every_rule_of_resizing(tmp_path: Path, resize: str) -> None:
    rules = Preprocess(48, 48, 3, resize, (127.5,) * 3, (127.5,) * 3)
    _assert_read(probe(make_clip(tmp_path / "clip.mp4", frames=20)), [1, 7, 19], rules=rules)


@pytest.mark.parametrize("threads", [1, 2])
def test_damage_on_the_way_begins_again_and_doubles_nothing(tmp_path: Path, threads: int) -> None:
    clip = spoil_packet(make_clip(tmp_path / "clip.mp4", b_frames=0, gop=30), 40, keep=0, at=0)
    stream = _assert_read(probe(clip), list(range(60)), threads)
    assert any("damaged" in warning for warning in stream.warnings())


def test_a_promise_that_is_kept(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.avi", codec="mpeg4", frames=40), promised=True)
    assert info.recount is not None
    assert _assert_read(info, [0, 20, 39]).info.recount is None


def test_a_promise_that_is_broken_is_told_once_all_is_counted(tmp_path: Path) -> None:
    clip = spoil_packet(make_clip(tmp_path / "clip.avi", codec="mpeg4", b_frames=0), 30, keep=0, at=0)
    seen = []
    with pytest.raises(BrokenPromiseError) as broken:
        seen.extend(FrameStream(probe(clip, promised=True), np.arange(60), RULES, 1))
    np.testing.assert_array_equal(broken.value.info.times_seconds, probe(clip).times_seconds)
    given = [number for number, picture in seen if picture is not None]
    assert given == list(range(len(given)))
    assert 20 < len(given) < 60


def test_frames_smaller_than_the_crop_are_refused(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", frames=4))
    rules = Preprocess(48, 64, 1, "swscale_bilinear", (127.5,) * 3, (127.5,) * 3)
    with pytest.raises(InputShapeError, match="crop"):
        list(FrameStream(info, np.arange(2), rules, 1))


def test_a_long_video_is_not_kept_in_memory(tmp_path: Path) -> None:
    """Pictures are the caller's own: none of them changes when the next one comes."""
    clip = copy_packets(make_clip(tmp_path / "clip.mp4", frames=24, b_frames=0), tmp_path / "long.mp4", repeat=3)
    pictures = dict(FrameStream(probe(clip), np.arange(72), RULES, 1))
    first, again = pictures[3], pictures[27]
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first, again)
