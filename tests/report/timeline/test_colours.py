"""Colours of labels: apart, and visible on black and on white."""

from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.report.timeline.colours import colours_of, hex_colours, label_colour
from tests.report.timeline.samples import made_timeline


def test_labels_of_a_video_get_the_first_colours() -> None:
    names = tuple(f"label {number}" for number in range(400))
    timeline = made_timeline(((0.0, 2.0, 6), (2.0, 7.0, 150), (7.0, 8.5, 377)), labels=names)
    assert [colours_of(timeline)[index] for index in (150, 6, 377)] == [label_colour(rank) for rank in range(3)]
    assert hex_colours(timeline)[150] == "#" + bytes(label_colour(0)).hex()


def test_labels_next_to_each_other_differ_plainly() -> None:
    colours = np.array([label_colour(index) for index in range(400)], float)
    for distance in (1, 2, 3, 4):
        assert np.abs(colours[distance:] - colours[:-distance]).sum(axis=1).min() > 60


@pytest.mark.parametrize("ground", [0, 255])
def test_colours_show_on_black_and_on_white(ground: int) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    light = np.array([label_colour(index) for index in range(400)]) @ weights
    assert np.abs(light - ground).min() > 40


def test_400_labels_have_400_colours() -> None:
    assert len({label_colour(index) for index in range(400)}) == 400
