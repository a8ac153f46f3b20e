"""What is drawn when, in which lane, and on pictures of every size."""

from __future__ import annotations

import pytest

from nlvid_cli.video.annotate import Annotations, Mark, Moment, Painter, Span, lanes_of
from nlvid_cli.video.fonts import Font

RED = Mark("a label that is much longer than a small picture is wide", 0.9, (255, 0, 0))


@pytest.mark.parametrize(
    "size", [(2, 2), (2, 300), (300, 2), (16, 16), (96, 64), (1280, 720), (720, 1280), (3840, 2160)]
)
@pytest.mark.parametrize("pixel_shape", [0.5, 1, 2.7])
def test_patches_lie_in_the_picture(size: tuple[int, int], pixel_shape: float) -> None:
    drawn = Annotations((Span(0, 5, RED),), (Moment(2, (RED,) * 5),), 0, 10)
    for seconds in (0, 3, 10):
        for patch in Painter(drawn, *size, Font(), pixel_shape).patches(seconds):
            assert patch.left >= 0
            assert patch.top >= 0
            assert 0 < patch.pixels.shape[1] <= size[0] - patch.left
            assert 0 < patch.pixels.shape[0] <= size[1] - patch.top


def test_patches_stay_the_same_objects_while_nothing_changes() -> None:
    painter = Painter(Annotations((Span(0, 5, RED),), (Moment(2, (RED,)),), 0, 1000), 320, 240, Font())
    assert painter.patches(1.0) == painter.patches(1.04)
    assert len(painter.patches(6.0)) == len(painter.patches(1.0)) - 1


def test_segments_that_overlap_get_lanes() -> None:
    assert lanes_of((Span(0, 5, RED), Span(2, 3, RED), Span(3, 9, RED), Span(5, 6, RED))) == [0, 1, 1, 0]
