"""The colour of a label: the same in every page, picture and video, whatever other labels are there."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]
"""R, G, B in [0, 255]."""

GOLDEN = 0.6180339887498949
"""Turn of the hue from one label to the next. No other fraction keeps any number of hues so far apart."""

LIGHTNESS = (0.54, 0.42, 0.62)
"""Lightness of three labels in turn, since hues of labels far from each other in the list come close."""

SATURATION = 0.65


def label_colour(index: int) -> Colour:
    """Return the colour of a label: middling light, so that it shows on black and on white.

    Args:
        index: Index of the label in the order of the scores, from 0.
    """
    red, green, blue = colorsys.hls_to_rgb(index * GOLDEN % 1, LIGHTNESS[index % len(LIGHTNESS)], SATURATION)
    return round(red * 255), round(green * 255), round(blue * 255)


def hex_colour(index: int) -> str:
    """Return :func:`label_colour` for a style sheet, for example ``#d0462f``."""
    return "#{:02x}{:02x}{:02x}".format(*label_colour(index))
