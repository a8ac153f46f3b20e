"""Folders of pictures on the one road: probe, read_frames, decode_clips."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nlvid_cli.errors import FrameTooLarge, UnreadableVideo, VideoNotFound
from nlvid_cli.video import picture_folder
from nlvid_cli.video.clips import decode_clips
from nlvid_cli.video.probe import probe, probe_segment
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.refusals import MAX_FRAME_PIXELS
from nlvid_cli.video.segment import Segment, Stretch
from tests.clips import make_clip
from tests.video.test_clips import RULES, SAMPLING

COUNT = 12


def picture(number: int, width: int = 64, height: int = 48) -> Image.Image:
    """A plain picture whose red tells its number."""
    return Image.new("RGB", (width, height), (number * 20, 255 - number * 20, 90))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve PNG files, 1.png to 12.png."""
    (tmp_path / "frames").mkdir()
    for number in range(COUNT):
        picture(number).save(tmp_path / "frames" / f"{number + 1}.png")
    return tmp_path / "frames"


def _reds(folder: Path, numbers: list[int]) -> tuple[list[int], tuple[str, ...]]:
    """Which picture each frame shows, and the warnings."""
    read = read_frames(probe(folder), np.array([numbers]), None)
    reds: NDArray[np.float64] = read.frames[0, :, :, :, 0].mean(axis=(1, 2)) / 20
    return [round(float(red)) for red in reds], read.warnings


def test_pictures_are_frames_at_25_a_second(folder: Path) -> None:
    info = probe(folder)
    assert info.times_seconds.tolist() == pytest.approx([number / 25 for number in range(COUNT)])
    assert (info.facts.width, info.facts.height) == (64, 48)
    assert info.facts.frame_rate == 25.0
    assert info.facts.duration_seconds == pytest.approx(COUNT / 25)
    assert any("25 frames per second" in warning for warning in info.warnings)


def test_frames_are_the_pictures_bit_for_bit_in_the_order_of_their_numbers(folder: Path) -> None:
    numbers = np.array([[0, 9, 10], [11, 2, 2]])
    expected = [[np.asarray(picture(number)) for number in row] for row in numbers.tolist()]
    for threads in (1, 4):
        read = read_frames(probe(folder), numbers, None, threads=threads)
        np.testing.assert_array_equal(read.frames, expected)
        assert read.warnings == ()


def test_clips_are_those_of_a_video_of_the_same_pictures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="ffv1", frames=30, pix_fmt="bgr0")
    pixels = read_frames(probe(clip), np.arange(30)[None], None).frames[0]
    (tmp_path / "frames").mkdir()
    for number, pixel in enumerate(pixels):
        Image.fromarray(pixel.astype(np.uint8)).save(tmp_path / "frames" / f"img_{number:05d}.png")
    for stretch in (None, Stretch(start_frame=4, end_frame=20), Stretch(0.2, 0.9)):
        frames, table = decode_clips(Segment(tmp_path / "frames", stretch, 25.0), SAMPLING, RULES)
        expected, expected_table = decode_clips(Segment(clip, stretch), SAMPLING, RULES)
        np.testing.assert_array_equal(frames, expected)
        assert table.start_seconds == pytest.approx(expected_table.start_seconds)


def test_the_first_frames_of_a_list_are_a_stretch(folder: Path) -> None:
    _, table = decode_clips(Segment(folder, Stretch(end_frame=5), 10.0), SAMPLING, RULES)
    assert max(table.end_seconds) == pytest.approx(5 / 10)


@pytest.mark.parametrize("fps", [0.5, 12.5, 30000 / 1001, 240.0])
def test_the_rate_is_that_of_the_segment(folder: Path, fps: float) -> None:
    info = probe_segment(Segment(folder, fps=fps))
    assert info.times_seconds.tolist() == pytest.approx([number / fps for number in range(COUNT)])
    assert info.facts.frame_rate == fps
    assert info.facts.duration_seconds == pytest.approx(COUNT / fps)
    assert info.warnings == ()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "jp2", "qoi", "sgi", "pcx"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_formats_of_pictures_that_lose_nothing(tmp_path: Path, suffix: str, mode: str) -> None:
    for number in range(3):
        try:
            picture(number).convert(mode).save(tmp_path / f"{number}.{suffix}")
        except (OSError, ValueError):
            pytest.skip(f"Pillow does not write {mode} as {suffix}")
    expected = [np.asarray(picture(number).convert(mode).convert("RGB")) for number in range(3)]
    frames = read_frames(probe(tmp_path), np.array([[0, 1, 2]]), None).frames[0]
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("damage", ["cut", "junk", "empty", "gone", "video", "folder", "fifo"])
def test_the_nearest_earlier_picture_replaces_a_broken_one(folder: Path, damage: str) -> None:
    broken = folder / "6.png"
    content = broken.read_bytes()
    info = probe(folder)
    broken.unlink()
    if damage == "video":
        make_clip(folder.parent / "a.avi", codec="mpeg4", frames=3).rename(broken)
    elif damage == "folder":
        broken.mkdir()
    elif damage == "fifo":
        os.mkfifo(broken)
    elif damage != "gone":
        broken.write_bytes({"cut": content[: len(content) // 2], "junk": b"junk" * 99, "empty": b""}[damage])
    read = read_frames(info, np.array([[4, 5, 6]]), None)
    assert (read.frames[0, :, 0, 0, 0] / 20).tolist() == [4, 4, 6]
    assert any("1 of the 3" in warning for warning in read.warnings)


def test_a_cut_jpeg_is_broken_too(tmp_path: Path) -> None:
    for number in range(3):
        picture(number).resize((320, 240)).save(tmp_path / f"{number}.jpg")
    content = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(content[: len(content) // 2])
    numbers, warnings = _reds(tmp_path, [0, 1, 2])
    assert numbers == [0, 0, 2]
    assert len(warnings) == 1


def test_before_the_first_good_picture_the_next_one_is_shown(folder: Path) -> None:
    (folder / "1.png").write_bytes(b"junk")
    (folder / "2.png").write_bytes(b"junk")
    numbers, warnings = _reds(folder, [0, 1, 2])
    assert numbers == [2, 2, 2]
    assert "2 of the 3" in warnings[0]


def test_no_good_picture_is_an_error_that_names_one(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"junk")
    with pytest.raises(UnreadableVideo, match=r"1\.png"):
        probe(folder)


def test_pictures_of_other_shapes_are_stretched_with_a_warning(folder: Path) -> None:
    picture(1, 48, 64).save(folder / "2.png")
    read = read_frames(probe(folder), np.array([[0, 1]]), None)
    assert read.frames.shape == (1, 2, 48, 64, 3)
    assert "shape of its frames changes (48 x 64)" in read.warnings[0]


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by a quarter to show it
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.jpg", exif=exif)
    info = probe(tmp_path)
    assert (info.facts.width, info.facts.height, info.facts.rotation_degrees) == (48, 64, 90)


def test_limits_are_those_of_videos(folder: Path) -> None:
    side = int(MAX_FRAME_PIXELS**0.5) + 8
    Image.new("1", (side, side)).save(folder / "1.png")
    assert _reds(folder, [0, 1])[0] == [1, 1]
    for path in folder.iterdir():
        if path.name != "1.png":
            path.unlink()
    with pytest.raises(FrameTooLarge, match="pixels"):
        probe(folder)


def test_a_folder_without_pictures_is_no_video(tmp_path: Path) -> None:
    for fps in (None, 25.0):
        with pytest.raises(VideoNotFound, match="folder"):
            decode_clips(Segment(tmp_path, fps=fps), SAMPLING, RULES)


def test_a_folder_of_frames_is_not_guessed(folder: Path) -> None:
    with pytest.raises(VideoNotFound, match=r"a folder of 12 pictures.*--frames --fps 25"):
        decode_clips(Segment(folder), SAMPLING, RULES)


def test_each_broken_picture_is_tried_once_to_replace_others(folder: Path) -> None:
    info = probe(folder)
    for number in range(2, COUNT + 1):
        (folder / f"{number}.png").write_bytes(b"junk")
    with patch.object(picture_folder, "_decode", wraps=picture_folder._decode) as decode:
        read = read_frames(info, np.arange(COUNT)[None], None, threads=1)
    assert (read.frames[0, :, 0, 0, 0] == 0).all()
    assert decode.call_count <= 2 * COUNT + COUNT  # not the square of it
