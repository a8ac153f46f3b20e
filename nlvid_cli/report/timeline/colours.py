"""The colours of labels: the same in every table, page and video of a timeline, and far apart within it."""

from __future__ import annotations

import colorsys

from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.report.timeline.summary import labels_in_order

Colour = tuple[int, int, int]
"""R, G, B in [0, 255]."""

GOLDEN = 0.6180339887498949
"""Turn of the hue from one label to the next. No other fraction keeps any number of hues so far apart."""

LIGHTNESS = (0.54, 0.42, 0.62)
"""Lightness of three labels in turn, since hues of labels far from each other in the list come close."""

SATURATION = 0.65


def colours_of(timeline: Timeline) -> dict[int, Colour]:
    """Return the colours of the labels that occur in segments or windows, by the index of the label.

    They go by how long the labels are on: of 400 labels, a video's own few may lie anywhere, and look alike.
    """
    return {index: label_colour(rank) for rank, index in enumerate(labels_in_order(timeline))}


def hex_colours(timeline: Timeline) -> dict[int, str]:
    """Return :func:`colours_of` for a style sheet, for example ``#d0462f``."""
    return {index: "#" + bytes(colour).hex() for index, colour in colours_of(timeline).items()}


def label_colour(index: int) -> Colour:
    """Return a colour that differs from those of the numbers near it: middling light, so that it shows on any ground.

    Args:
        index: Number of the label, from 0.
    """
    red, green, blue = colorsys.hls_to_rgb(index * GOLDEN % 1, LIGHTNESS[index % len(LIGHTNESS)], SATURATION)
    return round(red * 255), round(green * 255), round(blue * 255)
