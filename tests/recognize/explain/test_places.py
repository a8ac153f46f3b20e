"""Places of a map in the video, there and back."""

from __future__ import annotations

import pytest

from nlvid_cli.card.geometry import MapAxis
from nlvid_cli.errors import UsageError
from nlvid_cli.recognize.explain.places import Box, ClipFrame, MapPlaces, Point, ViewPlaces

# 200 x 100 pixels as shown, resized to 80 x 40, of which a square of 32 is seen: 2.5 pixels of the video each
VIEW = ViewPlaces(tuple(ClipFrame(10 + 2 * i, 0.4 + 0.08 * i) for i in range(8)), 200, 100, 80, 40, 24, 4, 32)
MAP = MapPlaces(VIEW, (MapAxis(4, 0.5, 2), MapAxis(4, 3.0, 8), MapAxis(4, 3.0, 8)))


def test_what_the_network_sees() -> None:
    assert VIEW.box == Box(60, 10, 140, 90)
    assert VIEW.size == (8, 32, 32)
    assert MAP.size == (4, 4, 4)


def test_a_place() -> None:
    place = MAP[(1, 0, 3)]  # rows -0.5 to 7.5 of the view, columns 23.5 to 31.5
    assert (place.x, place.y) == ((24 + 27.5) * 2.5, (4 + 3.5) * 2.5)
    assert place.box == Box((24 + 23.5) * 2.5, 4 * 2.5, (24 + 31.5) * 2.5, (4 + 7.5) * 2.5)
    assert (place.frame, place.first_frame, place.last_frame) == (2, 2, 3)
    assert place.seconds == VIEW.frames[2].seconds


@pytest.mark.parametrize("index", [0, 17, 63])
def test_there_and_back(index: int) -> None:
    position = MAP.position(index)
    assert MAP.index(position) == index
    place = MAP[position]
    assert VIEW.nearest(Point(place.seconds, place.x, place.y), MAP.axes) == position


def test_places_beyond_the_view_end_at_its_edge() -> None:
    outside = MapPlaces(VIEW, (MapAxis(1, 9.0, 16), MapAxis(3, -4.0, 16), MapAxis(3, -4.0, 16)))
    first, last = outside[(0, 0, 0)], outside[(0, 2, 2)]
    assert first.box == Box(60, 10, 60 + 4.5 * 2.5, 10 + 4.5 * 2.5)
    assert (first.x, first.y) == (60, 10)
    assert last.box.right == 140
    assert (first.frame, first.first_frame, first.last_frame) == (7, 1, 7)


@pytest.mark.parametrize("point", [Point(0.5, 59, 50), Point(0.5, 100, 91), Point(0.5, -3, 50)])
def test_a_point_that_the_network_does_not_see(point: Point) -> None:
    with pytest.raises(UsageError, match="sees"):
        VIEW.nearest(point, MAP.axes)


@pytest.mark.parametrize("seconds", [0.2, 1.2, float("nan")])
def test_a_time_that_the_clip_does_not_have(seconds: float) -> None:
    with pytest.raises(UsageError, match="--at"):
        VIEW.nearest(Point(seconds, 100, 50), MAP.axes)


def test_places_as_arrays() -> None:
    arrays = MAP.arrays()
    assert {name: len(values) for name, values in arrays.items()} == dict.fromkeys(
        ("seconds", "first_frame", "last_frame", "top", "bottom", "left", "right"), 4
    )
    for index in (0, 21, 63):
        time, row, column = MAP.position(index)
        place = MAP[time, row, column]
        assert place.seconds == arrays["seconds"][time]
        assert (place.first_frame, place.last_frame) == (arrays["first_frame"][time], arrays["last_frame"][time])
        assert (place.box.top, place.box.bottom) == (arrays["top"][row], arrays["bottom"][row])
        assert (place.box.left, place.box.right) == (arrays["left"][column], arrays["right"][column])
