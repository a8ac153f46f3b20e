"""Patches on pictures: the colour that was meant, in every way of storing it, and nothing elsewhere."""

from __future__ import annotations

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from nlvid_cli.video.annotate import Patch
from nlvid_cli.video.blend import Canvas, samples
from nlvid_cli.video.info import Orientation
from tests.clips import frame_with_colours, picture

WIDTH, HEIGHT = 64, 48


def grey_frame(format_name: str = "yuv420p", colours: tuple[int, int] = (1, 1), luma: int = 120) -> av.VideoFrame:
    planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    planes[:HEIGHT] = luma
    return frame_with_colours(av.VideoFrame.from_ndarray(planes, format="yuv420p"), *colours).reformat(
        format=format_name
    )


def patch_of(colour: tuple[int, int, int], opacity: int, left: int = 10, top: int = 10, size: int = 20) -> Patch:
    return Patch(left, top, np.full((size, size, 4), (*colour, opacity), np.uint8))


def planes_of(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    return [samples(plane).copy() for plane in frame.planes]


def drawn(frame: av.VideoFrame, *patches: Patch) -> av.VideoFrame:
    return Canvas(frame, Orientation()).picture(frame, patches)


@pytest.mark.parametrize("colours", [(1, 1), (1, 2), (5, 1), (6, 2), (9, 1)])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 60, 60), (30, 180, 90), (40, 70, 220)])
def test_opaque_patches_have_the_colour_that_was_meant(colours: tuple[int, int], colour: tuple[int, int, int]) -> None:
    frame = grey_frame(colours=colours)
    made = frame_with_colours(drawn(frame, patch_of(colour, 255)), *colours)
    shown = made.to_ndarray(format="rgb24")[14:26, 14:26].astype(int)
    assert np.abs(shown - colour).max() <= 4


@pytest.mark.parametrize(("left", "top"), [(10, 10), (11, 10), (10, 11), (11, 11), (63, 47), (50, 40)])
def test_nothing_changes_beside_a_patch(left: int, top: int) -> None:
    frame = grey_frame()
    before, after = planes_of(frame), planes_of(drawn(frame, patch_of((255, 0, 0), 255, left, top)))
    changed = before[0] != after[0]
    assert changed[top : top + 20, left : left + 20].all()
    changed[top : top + 20, left : left + 20] = False
    assert not changed.any()
    colour = before[1] != after[1]
    colour[top // 2 : (top + 21) // 2, left // 2 : (left + 21) // 2] = False
    assert not colour.any()


def test_a_patch_that_is_seen_through_entirely_changes_nothing() -> None:
    frame = av.VideoFrame.from_ndarray(picture(3, WIDTH, HEIGHT), format="rgb24").reformat(format="yuv420p")
    after = drawn(frame, patch_of((255, 255, 255), 0))
    for one, other in zip(planes_of(frame), planes_of(after), strict=True):
        np.testing.assert_array_equal(one, other)


def test_half_opaque_patches_mix() -> None:
    frame = grey_frame(luma=200)
    luma = planes_of(drawn(frame, patch_of((0, 0, 0), 128)))[0]
    assert luma[15, 15] == pytest.approx((200 + 16) / 2, abs=1)


@pytest.mark.parametrize(
    "format_name", ["yuv422p", "yuv444p", "nv12", "yuv420p10le", "rgb24", "bgra", "gray", "yuvj420p"]
)
def test_pictures_of_every_format_become_planes(format_name: str) -> None:
    made = drawn(grey_frame(format_name), patch_of((255, 255, 255), 255))
    assert made.format.name == "yuv420p"
    luma = planes_of(made)[0].astype(int)
    assert luma[15, 15] > 225
    full = format_name in ("gray", "yuvj420p")
    assert luma[0, 0] == pytest.approx((120 - 16) * 255 / 219 if full else 120, abs=2)


def test_the_source_stays_as_it_was() -> None:
    """Decoders still refer to the pictures that they return."""
    frame = grey_frame()
    before = planes_of(frame)
    drawn(frame, patch_of((255, 0, 0), 255))
    for one, other in zip(before, planes_of(frame), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pictures_of_another_size_become_like_the_first() -> None:
    canvas = Canvas(grey_frame(), Orientation())
    larger = grey_frame().reformat(width=100, height=90)
    made = canvas.picture(larger, [])
    assert (made.width, made.height) == (WIDTH, HEIGHT)


def test_white_does_not_dazzle_in_hdr() -> None:
    frame = grey_frame(colours=(9, 1))
    frame.color_trc = 16  # PQ
    luma = planes_of(drawn(frame, patch_of((255, 255, 255), 255)))[0]
    assert luma[15, 15] == pytest.approx(16 + 0.58 * 219, abs=2)
