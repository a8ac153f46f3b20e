"""Windows hold the frames that classify would look at in the same stretch, bit for bit, however a file is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nlvid_cli.card.card import Preprocess, Sampling
from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.recognize import windows
from nlvid_cli.recognize.windows import WINDOWS_PER_PART, WindowPlan, Windows, decode_windows
from nlvid_cli.video import from_start
from nlvid_cli.video.clip_rules import CLIP_STARTS
from nlvid_cli.video.clips import ClipTable, decode_clips
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.probe import probe
from nlvid_cli.video.segment import Segment, Stretch
from tests.clips import copy_packets, make_clip, spoil_packet

SAMPLING = Sampling(frames=8, step=2, clips=1, clip_starts="ends", short_video="loop")
RULES = Preprocess(48, 48, 1, "swscale_bilinear", (127.5,) * 3, (127.5,) * 3)
UNEVEN = np.cumsum(np.tile([20, 60, 35, 110, 40, 40, 40, 40, 200], 20)).tolist()

CLIPS: dict[str, dict[str, Any]] = {
    "even.mp4": {"frames": 150},
    "uneven.mp4": {"frames": len(UNEVEN), "times": UNEVEN},
    "rounded.mkv": {"frames": 150, "gop": 60},
    "guessed.avi": {"frames": 150},
    "counted.avi": {"frames": 150, "codec": "mpeg4"},
    "raw.h264": {"frames": 150},
}


@dataclass(frozen=True)
class Looked:
    """All windows of a video."""

    windows: list[tuple[float, float, Pixels]]
    table: ClipTable
    parts: int

    @property
    def starts(self) -> list[float]:
        return [start for start, _, _ in self.windows]


def _look(
    path: Path,
    sampling: Sampling = SAMPLING,
    every: float | None = None,
    stretch: Stretch | None = None,
    rules: Preprocess = RULES,
    threads: int = 1,
) -> Looked:
    found, parts = [], 0
    for frames, table in decode_windows(Segment(path, stretch), sampling, rules, Windows(every, threads)):
        parts += 1
        times = zip(table.start_seconds, table.end_seconds, table.frame_places, strict=True)
        found += [(start, end, frames[list(places)]) for start, end, places in times]
    assert table.last
    return Looked(found, table, parts)


def _assert_as_classified(path: Path, looked: Looked, sampling: Sampling = SAMPLING) -> None:
    for start, end, frames in looked.windows:
        stretch = Stretch(round(start, 6), round(end, 6))  # as reported
        expected, _ = decode_clips(Segment(path, stretch), sampling, RULES)
        np.testing.assert_array_equal(frames, expected[0])


@pytest.fixture(scope="module", params=CLIPS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / request.param, **CLIPS[request.param])


@pytest.mark.parametrize("rule", CLIP_STARTS)
def test_a_window_is_what_classify_sees_of_its_stretch(clip: Path, rule: str) -> None:
    for frame_rate in (None, 12.5):
        sampling = replace(SAMPLING, clip_starts=rule, frame_rate=frame_rate)
        _assert_as_classified(clip, _look(clip, sampling), sampling)


@pytest.mark.parametrize(("every", "stretch"), [(0.2, None), (2.0, None), (None, Stretch(0.7, 4.1))])
def test_any_distance_and_any_part(clip: Path, every: float | None, stretch: Stretch | None) -> None:
    looked = _look(clip, every=every, stretch=stretch)
    _assert_as_classified(clip, looked)
    first, last = (0.0, looked.table.facts.duration_seconds) if stretch is None else (0.7, 4.1)
    assert looked.starts[0] == pytest.approx(first, abs=0.2)
    assert looked.windows[-1][1] == pytest.approx(last, abs=0.2)
    assert looked.starts == sorted(set(looked.starts))


def test_windows_begin_every_half_clip_and_the_last_one_ends_with_the_video(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=40)
    starts = [(start, end) for start, end, _ in _look(clip).windows]
    expected = [(0.0, 0.6), (0.32, 0.92), (0.64, 1.24), (0.96, 1.56), (1.0, 1.6)]
    np.testing.assert_allclose(starts, expected)


def test_a_video_that_is_shorter_than_a_clip_is_one_window(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=9)
    looked = _look(clip)
    expected, table = decode_clips(Segment(clip), SAMPLING, RULES)
    ((start, end, frames),) = looked.windows
    assert (start, end) == (0.0, pytest.approx(0.36))
    np.testing.assert_array_equal(frames, expected[0])
    assert looked.table.warnings == table.warnings


def test_every_frame_is_decoded_once_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "clip.avi", codec="mpeg4", frames=400)
    seen: list[int] = []
    decode = from_start.decode_everything

    def counted(*arguments: Any) -> Iterator[Any]:
        for shown in decode(*arguments):
            seen.append(shown.number)
            yield shown

    monkeypatch.setattr(from_start, "decode_everything", counted)
    sizes = [len(frames) for frames, _ in decode_windows(Segment(clip), SAMPLING, RULES, Windows())]
    assert seen == list(range(400))
    assert max(sizes) == 8 + (WINDOWS_PER_PART - 1) * 4  # a window, and half of each of the others


def test_threads_change_nothing(clip: Path) -> None:
    one, two = (_look(clip, threads=threads) for threads in (1, 2))
    assert one.starts == two.starts
    for (_, _, frames), (_, _, others) in zip(one.windows, two.windows, strict=True):
        np.testing.assert_array_equal(frames, others)


def test_three_crops_keep_whole_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20)
    looked = _look(clip, rules=replace(RULES, crops=3))
    assert looked.windows[0][2].shape == (8, 48, 64, 3)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_damage_in_the_middle_is_a_warning(tmp_path: Path, name: str) -> None:
    clip = spoil_packet(make_clip(tmp_path / name, frames=150, size=(128, 96)), 72)  # a key frame
    looked = _look(clip)
    assert any("damaged" in warning for warning in looked.table.warnings)
    assert looked.starts == sorted(set(looked.starts))
    assert looked.windows[-1][1] == pytest.approx(6.0, abs=0.05)
    _assert_as_classified(clip, looked)


def test_an_avi_that_lacks_frames_goes_on_after_them(tmp_path: Path) -> None:
    clip = spoil_packet(make_clip(tmp_path / "clip.avi", codec="mpeg4", frames=150, b_frames=0), 70, keep=0, at=0)
    looked = _look(clip)
    assert looked.starts == sorted(set(looked.starts))
    assert looked.windows[-1][1] == pytest.approx(looked.table.facts.duration_seconds)
    (promised,) = (warning for warning in looked.table.warnings if "promise" in warning)
    assert " 3.16 s" in promised
    later = [window for window in looked.windows if window[0] > 3.16]
    assert len(later) > 5
    _assert_as_classified(clip, replace(looked, windows=later))


def test_a_video_that_ends_early_is_told_up_to_there(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=200, container_options={"movflags": "faststart"})
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    looked = _look(clip)
    assert looked.windows
    assert looked.starts[-1] < 6.0
    assert any("ends early" in warning or "cut off" in warning for warning in looked.table.warnings)


def test_a_part_after_the_last_picture_is_an_error(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=200, container_options={"movflags": "faststart"})
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableVideo, match="no "):
        _look(clip, stretch=Stretch(7.0, 8.0))


def test_recordings_one_after_another_have_each_frame_once(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", frames=60)
    twice = tmp_path / "twice.ts"
    twice.write_bytes(clip.read_bytes() * 2)
    looked = _look(twice)
    assert looked.windows[-1][1] == pytest.approx(4.8, abs=0.1)
    assert any("recordings" in warning for warning in looked.table.warnings)
    _assert_as_classified(twice, looked)


def test_a_folder_of_frames_gives_the_windows_of_its_video(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=40, pix_fmt="bgr0")
    folder = tmp_path / "frames"
    folder.mkdir()
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            frame.to_image().save(folder / f"{number}.png")
    of_folder = decode_windows(Segment(folder, fps=25.0), SAMPLING, RULES, Windows())
    of_clip = decode_windows(Segment(clip), SAMPLING, RULES, Windows())
    for (frames, table), (others, other_table) in zip(of_folder, of_clip, strict=True):
        np.testing.assert_array_equal(frames, others)
        assert table.start_seconds == pytest.approx(other_table.start_seconds)


def test_a_slow_decoder_shows_that_it_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "clip.avi", codec="mpeg4", frames=60)
    monkeypatch.setattr(windows, "PART_SECONDS", 0.0)
    looked = _look(clip, every=2.0)
    assert looked.parts > 10
    _assert_as_classified(clip, looked)


def test_a_pause_of_hours_makes_no_window_inside(tmp_path: Path) -> None:
    times = [*range(0, 2000, 40), *range(36_000_000, 36_002_000, 40)]
    clip = make_clip(tmp_path / "clip.mkv", frames=len(times), times=times)
    looked = _look(clip, every=1.0)
    assert len(looked.windows) < 10
    _assert_as_classified(clip, looked)


def test_frames_that_the_packets_hide_are_looked_at(tmp_path: Path) -> None:
    """Where packets are missing, the frames that are there are those of decoding."""
    whole = make_clip(tmp_path / "whole.avi", frames=100)
    clip = copy_packets(whole, tmp_path / "clip.avi", drop=range(10))
    looked = _look(clip)
    _assert_as_classified(clip, looked)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.5, 2.0, 3.9])
def test_the_window_around_a_time(seconds: float, tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", frames=100))
    window = WindowPlan(info, None, SAMPLING, None).around(seconds)
    assert window.start_seconds <= seconds <= window.end_seconds
    middle = min(max(seconds, 0.3), 4 - 0.3)  # a clip reaches over 15 frames at 25 per second
    assert (window.start_seconds + window.end_seconds) / 2 == pytest.approx(middle, abs=0.05)
