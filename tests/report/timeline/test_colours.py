"""Colours of labels: stable, apart, and visible on black and on white."""

from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.report.timeline.colours import hex_colour, label_colour


def test_a_label_has_one_colour_however_many_there_are() -> None:
    assert label_colour(7) == label_colour(7)
    assert hex_colour(7) == "#" + bytes(label_colour(7)).hex()


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
