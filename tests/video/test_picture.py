"""Sizes after resizing, and the road from a frame of a file to an upright picture by each rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlvid_cli.card.card import Preprocess
from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.info import Orientation
from nlvid_cli.video.picture import RESIZE, SIZES, PictureMaker
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.resize import float_bilinear, opencv_bilinear
from tests.clips import make_clip


def test_rules_are_those_that_cards_can_name() -> None:
    names = get_type_hints(Preprocess)
    assert set(RESIZE) == set(get_args(names["resize"]))
    assert set(SIZES) == set(get_args(names["size"]))


@pytest.mark.parametrize(
    ("width", "height", "half_up", "floor", "float32_floor"),
    [
        (1920, 1080, (455, 256), (455, 256), (455, 256)),  # 1920 * 256 / 1080 = 455.11
        (858, 480, (458, 256), (457, 256), (457, 256)),  # 457.6
        (480, 858, (256, 458), (256, 457), (256, 457)),
        (340, 256, (340, 256), (340, 256), (340, 256)),
        (256, 256, (256, 256), (256, 256), (256, 256)),
        (110, 130, (256, 303), (256, 302), (256, 302)),  # 302.55; 110 * float32(256 / 110) is below 256
        (144, 180, (256, 320), (256, 320), (256, 320)),  # 320 exactly, though 180 / 144 * 256 has roundings
    ],
)
def test_sizes(
    width: int, height: int, half_up: tuple[int, int], floor: tuple[int, int], float32_floor: tuple[int, int]
) -> None:
    assert SIZES["half_up"](width, height, 256) == half_up
    assert SIZES["floor"](width, height, 256) == floor
    assert SIZES["float32_floor"](width, height, 256) == float32_floor
    assert SIZES["stretched_340x256"](width, height, 256) == (340, 256)


@given(st.sampled_from(["half_up", "floor", "float32_floor"]), st.integers(1, 4000), st.integers(1, 4000))
def test_the_shorter_side_is_exact(rule: str, width: int, height: int) -> None:
    new_width, new_height = SIZES[rule](width, height, 256)
    assert min(new_width, new_height) == 256
    assert abs(max(new_width, new_height) - max(width, height) * 256 / min(width, height)) <= 1.01
    assert SIZES[rule](height, width, 256) == (new_height, new_width)


@pytest.mark.parametrize("rotation", [(0, False, False), (-90, False, False), (180, False, False), (0, True, False)])
@pytest.mark.parametrize(("rule", "resize"), [("opencv_bilinear", opencv_bilinear), ("float_bilinear", float_bilinear)])
def test_upright_pictures_are_resized(
    tmp_path: Path, rule: str, resize: Callable[..., None], rotation: tuple[int, bool, bool]
) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", size=(98, 46), frames=3, rotation=rotation))
    upright = read_frames(info, np.array([[0, 1]]), None).frames[0]
    resized = read_frames(info, np.array([[0, 1]]), 32, rule, "floor").frames[0]
    # 98 * 32 / 46 = 68.2
    assert resized.shape == ((2, 68, 32, 3) if info.facts.height > info.facts.width else (2, 32, 68, 3))
    assert resized.dtype == (np.float32 if rule == "float_bilinear" else np.uint8)
    for native, picture in zip(upright, resized, strict=True):
        expected = np.empty_like(picture)
        resize(native, expected)
        assert np.array_equal(picture, expected)


@pytest.mark.parametrize("rule", RESIZE)
@pytest.mark.parametrize("rotation", [(0, False, False), (-90, False, False)])
def test_stretched_is_wide_when_upright(tmp_path: Path, rule: str, rotation: tuple[int, bool, bool]) -> None:
    """Quarters of the upright picture stay where they are, so that a wrong turn or shape would show."""
    info = probe(make_clip(tmp_path / "clip.mp4", size=(98, 46), frames=3, rotation=rotation))
    native = read_frames(info, np.array([[1]]), None).frames[0, 0].astype(float)
    stretched = read_frames(info, np.array([[1]]), 256, rule, "stretched_340x256").frames[0, 0].astype(float)
    assert stretched.shape == (256, 340, 3)
    height, width = native.shape[:2]
    for top, left in ((0, 0), (0, 1), (1, 0), (1, 1)):
        before = native[top * height // 2 : (top + 1) * height // 2, left * width // 2 : (left + 1) * width // 2]
        after = stretched[top * 128 : (top + 1) * 128, left * 170 : (left + 1) * 170]
        assert np.abs(before.mean((0, 1)) - after.mean((0, 1))).max() < 6


def test_swscale_bilinear_is_that_of_a_filter_graph(tmp_path: Path) -> None:
    """decord's frames are those of this graph, bit for bit (0.6.0, three clips with 4:2:0 chroma)."""
    clip = make_clip(tmp_path / "clip.mp4", size=(98, 46), frames=1, pix_fmt="yuv444p")
    ours = read_frames(probe(clip), np.array([[0]]), 256, "swscale_bilinear", "stretched_340x256").frames[0, 0]
    with av.open(str(clip)) as container:
        graph = av.filter.Graph()
        source, scale = graph.add_buffer(template=container.streams.video[0]), graph.add("scale", "340:256:bilinear")
        form, sink = graph.add("format", "rgb24"), graph.add("buffersink")
        graph.link_nodes(source, scale, form, sink).configure()
        source.push(next(container.decode(video=0)))
        assert np.array_equal(ours, sink.pull().to_ndarray())


@pytest.mark.parametrize("name", ["yaf32le", "yaf32be", "gray32le", "rgbaf32le"])
def test_pixel_formats_that_swscale_does_not_know(name: str) -> None:
    """Over the first two it would end the process."""
    with pytest.raises(UnreadableVideo, match=name):
        PictureMaker(Orientation(), "swscale_bilinear").make(av.VideoFrame(8, 8, name), np.empty((4, 4, 3), np.uint8))


@pytest.mark.parametrize(("matrix", "name", "as_if"), [(8, "YCgCo", "undef"), (10, "bt2020c", "bt2020nc")])
def test_colour_matrices_that_swscale_refuses(tmp_path: Path, matrix: int, name: str, as_if: str) -> None:
    def read(of: str) -> tuple[np.ndarray, tuple[str, ...]]:
        options = {"x264-params": f"colormatrix={of}"}
        info = probe(make_clip(tmp_path / f"{of}.mp4", frames=3, options=options))
        frames_read = read_frames(info, np.array([[0]]), 32)
        return frames_read.frames, frames_read.warnings

    frames, (warning,) = read(name)
    similar, none = read(as_if)
    assert np.array_equal(frames, similar)
    assert f"colour matrix {matrix}" in warning
    assert none == ()
