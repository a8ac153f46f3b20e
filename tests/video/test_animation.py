"""GIF and WebP: few frames a second, small, as long as the source, and not for long videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nlvid_cli.errors import UsageError
from nlvid_cli.video.annotate import Annotations, Mark, Moment, Span
from nlvid_cli.video.encode import check_length, write_video
from nlvid_cli.video.fonts import Font
from nlvid_cli.video.probe import probe
from nlvid_cli.video.segment import Segment, Stretch
from tests.clips import copy_packets, make_clip, picture

MARK = Mark("dancing", 0.9, (200, 60, 60))
ANNOTATIONS = Annotations((Span(0.0, 1.0, MARK),), (Moment(1.0, (MARK,)),), 0.0, 2.4)
SUFFIXES = pytest.mark.parametrize("suffix", ["gif", "webp"])


def write(source: Path, target: Path, annotations: Annotations = ANNOTATIONS, stretch: Stretch | None = None) -> Path:
    write_video(probe(source), stretch, target, annotations, Font(), print)
    return target


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    """Milliseconds that each frame lasts, and its picture."""
    made = []
    with Image.open(path) as image:
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            made.append((image.info["duration"], np.asarray(image.convert("RGB"))))
    return made


@SUFFIXES
def test_ten_frames_a_second_as_long_as_the_source(suffix: str, tmp_path: Path) -> None:
    frames = frames_of(write(make_clip(tmp_path / "clip.mp4", frames=61), tmp_path / f"out.{suffix}"))
    assert len(frames) == 25
    # libwebp gives the last frame the mean duration of the others
    assert [milliseconds for milliseconds, _ in frames] == [100] * 24 + [40 if suffix == "gif" else 100]


@SUFFIXES
def test_slow_and_uneven_videos_keep_their_frames(suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", frames=5, times=[0, 400, 1000, 1010, 1900], b_frames=0)
    frames = frames_of(write(source, tmp_path / f"out.{suffix}"))
    # the frame at 1.0 s makes way for the next one, which nearly all of that tenth shows
    assert [milliseconds for milliseconds, _ in frames[:4]] == [400, 600, 100, 800]


@SUFFIXES
def test_pictures_are_those_of_the_source(suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", frames=10, size=(320, 240), options={"crf": "1"})
    nothing = Annotations((), (), 0.0, 1.0)
    frames = frames_of(write(source, tmp_path / f"out.{suffix}", nothing, Stretch(0.2)))
    expected = picture(5, 320, 240)[:200].astype(int)
    assert np.abs(frames[0][1][:200].astype(int) - expected).mean() < 16
    other = picture(9, 320, 240)[:200].astype(int)
    assert np.abs(frames[0][1][:200].astype(int) - other).mean() > 30


@SUFFIXES
@pytest.mark.parametrize(("size", "expected"), [((1280, 720), (480, 270)), ((720, 1280), (270, 480)), ((64, 48),) * 2])
def test_large_pictures_are_made_smaller(
    suffix: str, size: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=2, size=size)
    assert frames_of(write(source, tmp_path / f"out.{suffix}"))[0][1].shape[1::-1] == expected


@SUFFIXES
def test_labels_are_drawn(suffix: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=50, size=(320, 240))
    frames = frames_of(write(source, tmp_path / f"out.{suffix}"))
    red = np.abs(frames[5][1][-4].astype(int) - MARK.colour).max(axis=-1) < 40
    assert red[5:100].mean() > 0.8
    assert red[200:].mean() < 0.2


def test_a_long_video_is_refused_before_the_work(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, b_frames=0)
    source = copy_packets(clip, tmp_path / "long.mp4", repeat=35)
    for target in (tmp_path / "out.gif", tmp_path / "out.webp"):
        with pytest.raises(UsageError, match="--start"):
            check_length(target, Segment(str(source)))
        with pytest.raises(UsageError, match="--start"):
            write(source, target)
        check_length(target, Segment(str(source), Stretch(10.0, 60.0)))
    check_length(tmp_path / "out.mp4", Segment(str(source)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "long.mp4"]
