"""Files that cannot be opened say why."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nlvid_cli.errors import FrameTooLarge, UnreadableVideo
from nlvid_cli.video.probe import probe
from tests.clips import make_clip


def test_mp4_without_its_index(tmp_path: Path) -> None:
    """As it is while a camera still writes: the index comes last, and the size of the data is not known yet."""
    clip = make_clip(tmp_path / "clip.mp4", frames=30)
    data = clip.read_bytes()
    index = data.index(b"moov") - 4
    for unfinished in (data[:index], data[: index // 2]):
        clip.write_bytes(unfinished)
        with pytest.raises(UnreadableVideo, match="index of the MP4 file is missing"):
            probe(clip)


def test_mp4_whose_index_is_cut_off(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=30)
    data = clip.read_bytes()
    clip.write_bytes(data[: data.index(b"moov") + 20])
    with pytest.raises(UnreadableVideo, match="index of the MP4 file is cut off"):
        probe(clip)


def test_a_segment_without_its_beginning(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "clip.mp4", frames=30, container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    )
    data = clip.read_bytes()
    clip.write_bytes(b"\0\0\0\x10stypmsdh\0\0\0\0" + data[data.index(b"moof") - 4 :])
    with pytest.raises(UnreadableVideo, match="segment"):
        probe(clip)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "bmp", "tiff", "webp", "gif"])
def test_still_pictures_are_videos_of_one_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", (40, 30), "red").save(path)
    info = probe(path)
    assert (len(info.times_seconds), info.facts.width, info.facts.height) == (1, 40, 30)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tiff", "webp", "gif"])
def test_still_pictures_beyond_the_limit(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"huge.{suffix}"
    options = {"method": 0, "quality": 0} if suffix == "webp" else {}
    Image.new("RGB" if suffix in ("jpg", "webp") else "1", (12_000, 6000)).save(path, **options)
    with pytest.raises(FrameTooLarge, match="12000 x 6000"):
        probe(path)
