"""Draw what happens in a video on its pictures: labels, bars of scores, and a track of the whole time.

::

    +--------------------------------+
    | # label of the segment    97 % |   above: each segment that lasts, in its colour
    |                                |
    | label one      ======= 97 %    |   below: best labels of the window around the picture
    | label two      =        2 %    |
    | ..####.....####|.......##..... |   at the bottom: all segments, and the place of the picture
    +--------------------------------+

Little of it changes from a picture to the next. So it is drawn as small patches, each of which is kept until its text
changes; :mod:`nlvid_cli.video.blend` puts them on the pictures.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nlvid_cli.video.fonts import Font

Colour = tuple[int, int, int]
"""R, G, B in [0, 255]."""

TEXT_SHARE, SMALLEST_TEXT = 0.036, 10
"""Size of the text as a share of the shorter side, and in pixels."""

MOST_LABELS, MOST_BARS, MOST_LANES = 3, 5, 4
"""Labels above, bars below, and lanes of the track: more would hide the picture."""

BARS_SHARE = 0.4
"""Share of the height that bars may take."""

GROUND, TRACK = (0, 0, 0, 150), (25, 25, 25, 190)
"""Colour and opacity behind texts and behind the track."""

KEPT = 32
"""Patches of each kind that are kept."""


@dataclass(frozen=True)
class Mark:
    """A label with a score in [0, 1], in its colour."""

    text: str
    score: float
    colour: Colour


@dataclass(frozen=True)
class Span:
    """A label that lasts from one time to another, in seconds of the video."""

    start_seconds: float
    end_seconds: float
    mark: Mark


@dataclass(frozen=True)
class Moment:
    """The best labels around a time, best first."""

    middle_seconds: float
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Annotations:
    """What is drawn on a video. Texts are lines that can be drawn (:func:`nlvid_cli.video.fonts.plain_line`).

    Attributes:
        spans: Segments, by start.
        moments: Windows, by time.
        start_seconds: Time at the left end of the track.
        end_seconds: Time at its right end.
    """

    spans: tuple[Span, ...]
    moments: tuple[Moment, ...]
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, eq=False)
class Patch:
    """A picture to lay on another, within it: RGBA (height, width, 4), and the place of its upper left pixel."""

    left: int
    top: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """Sizes in pixels, for pictures of ``width`` x ``height`` square pixels."""

    width: int
    height: int
    text: int = field(init=False)

    def __post_init__(self) -> None:
        share = round(min(self.width, self.height) * TEXT_SHARE)
        object.__setattr__(self, "text", max(SMALLEST_TEXT, share))

    @property
    def row(self) -> int:
        """Height of a line of text."""
        return round(self.text * 1.5)

    @property
    def gap(self) -> int:
        """Distance from the edges, and around texts."""
        return max(2, round(self.text * 0.4))

    @property
    def lane(self) -> int:
        """Height of a lane of the track."""
        return max(4, round(self.text * 0.5))


class Painter:
    """Draws the patches of each picture of one video.

    Args:
        annotations: What is drawn.
        width: Width of the pictures, in pixels.
        height: Height, in pixels.
        font: Font of all texts.
        pixel_shape: Width of a pixel as it is shown, divided by its height; texts are drawn so that they look right.
    """

    def __init__(self, annotations: Annotations, width: int, height: int, font: Font, pixel_shape: float = 1.0) -> None:
        self._annotations = annotations
        self._stretch = 1 / pixel_shape
        self._width = width
        self._layout = Layout(max(1, round(width * pixel_shape)), height)
        self._font = font
        self._starts = [span.start_seconds for span in annotations.spans]
        self._longest = max((span.end_seconds - span.start_seconds for span in annotations.spans), default=0.0)
        self._middles = [moment.middle_seconds for moment in annotations.moments]
        self._lanes = lanes_of(annotations.spans)
        self._labels = lru_cache(KEPT)(self._draw_labels)
        self._bars = lru_cache(KEPT)(self._draw_bars)
        self._place = lru_cache(KEPT)(self._draw_place)
        self._track = self._draw_track()

    def patches(self, seconds: float) -> list[Patch]:
        """Return the patches of the picture at a time, lowest first; the same objects while nothing changes."""
        spans = self._spans_at(seconds)
        patches = [self._track, self._place(self._column(seconds))]
        if spans:
            patches.append(self._labels(spans))
        if self._middles and self._rows_of_bars():
            patches.append(self._bars(self._moment_at(seconds)))
        return [patch for patch in patches if patch.pixels.size]

    def _spans_at(self, seconds: float) -> tuple[int, ...]:
        """Return the numbers of the segments that last at a time, best first."""
        spans = self._annotations.spans
        first = bisect_left(self._starts, seconds - self._longest)
        last = bisect_right(self._starts, seconds)
        now = [number for number in range(first, last) if seconds < spans[number].end_seconds]
        return tuple(sorted(now, key=lambda number: -spans[number].mark.score))

    def _moment_at(self, seconds: float) -> int:
        """Return the number of the window whose middle is nearest."""
        right = bisect_left(self._middles, seconds)
        if right == len(self._middles):
            return right - 1
        nearer_left = right > 0 and seconds - self._middles[right - 1] <= self._middles[right] - seconds
        return right - 1 if nearer_left else right

    def _column(self, seconds: float) -> int:
        """Return the column of the track that stands for a time."""
        start, end = self._annotations.start_seconds, self._annotations.end_seconds
        share = (seconds - start) / (end - start) if end > start else 0.0
        return min(self._layout.width, max(0, round(share * self._layout.width)))

    def _track_height(self) -> int:
        return self._layout.lane * max(1, max(self._lanes, default=0) + 1)

    def _rows_of_bars(self) -> int:
        """Return how many bars there is room for, below a label and above the track."""
        layout = self._layout
        room = layout.height - self._track_height() - layout.row - 4 * layout.gap
        return max(0, min(MOST_BARS, min(room, round(layout.height * BARS_SHARE)) // layout.row))

    def _draw_labels(self, spans: tuple[int, ...]) -> Patch:
        layout, font = self._layout, self._font
        marks = [self._annotations.spans[number].mark for number in spans]
        hidden = len(marks) - MOST_LABELS
        strip = layout.gap
        scores = [percent(mark.score) for mark in marks[:MOST_LABELS]]
        score_width = round(max(font.width(score, layout.text) for score in scores))
        room = layout.width - 2 * layout.gap - strip - score_width - 3 * layout.gap
        texts = [font.shortened(mark.text, layout.text, room) for mark in marks[:MOST_LABELS]]
        text_width = round(max(font.width(text, layout.text) for text in texts))
        rows = len(texts) + (hidden > 0)
        width = strip + text_width + score_width + 3 * layout.gap
        image = Image.new("RGBA", (width, rows * layout.row), GROUND)
        for row, (mark, text, score) in enumerate(zip(marks, texts, scores, strict=False)):
            top = row * layout.row
            ImageDraw.Draw(image).rectangle((0, top, strip - 1, top + layout.row - 1), (*mark.colour, 255))
            font.draw(image, strip + layout.gap, top + layout.row // 2, text, layout.text)
            score_left = width - layout.gap - round(font.width(score, layout.text))
            font.draw(image, score_left, top + layout.row // 2, score, layout.text)
        if hidden > 0:
            middle = (rows - 1) * layout.row + layout.row // 2
            font.draw(image, strip + layout.gap, middle, f"+ {hidden}", layout.text)
        return self._patch(image, layout.gap, layout.gap)

    def _draw_bars(self, moment: int) -> Patch:
        layout, font = self._layout, self._font
        marks = self._annotations.moments[moment].marks[: self._rows_of_bars()]
        width = max(1, min(layout.width - 2 * layout.gap, layout.text * 15))
        image = Image.new("RGBA", (width, max(1, len(marks)) * layout.row), GROUND)
        for row, mark in enumerate(marks):
            top, score = row * layout.row, percent(mark.score)
            filled = round(width * min(1.0, max(0.0, mark.score)))
            if filled:
                ImageDraw.Draw(image).rectangle((0, top + 1, filled - 1, top + layout.row - 2), (*mark.colour, 200))
            score_width = round(font.width(score, layout.text))
            text = font.shortened(mark.text, layout.text, width - score_width - 3 * layout.gap)
            font.draw(image, layout.gap, top + layout.row // 2, text, layout.text)
            font.draw(image, width - layout.gap - score_width, top + layout.row // 2, score, layout.text)
        bottom = layout.height - self._track_height() - layout.gap
        return self._patch(image, layout.gap, bottom - image.height)

    def _draw_track(self) -> Patch:
        layout, height = self._layout, self._track_height()
        image = Image.new("RGBA", (layout.width, height), TRACK)
        draw = ImageDraw.Draw(image)
        spans = zip(self._annotations.spans, self._lanes, strict=True)
        for span, lane in sorted(spans, key=lambda pair: pair[0].mark.score):  # the best ones are never hidden
            left, right = self._column(span.start_seconds), self._column(span.end_seconds)
            if (
                span.end_seconds > self._annotations.start_seconds
                and span.start_seconds < self._annotations.end_seconds
            ):
                box = (left, lane * layout.lane, max(left, right - 1), (lane + 1) * layout.lane - 1)
                draw.rectangle(box, (*span.mark.colour, 255))
        return self._patch(image, 0, layout.height - height)

    def _draw_place(self, column: int) -> Patch:
        layout, height = self._layout, self._track_height()
        line = max(2, layout.text // 8)
        image = Image.new("RGBA", (line + 2, height), (0, 0, 0, 255))
        ImageDraw.Draw(image).rectangle((1, 0, line, height - 1), (255, 255, 255, 255))
        left = min(max(0, column - image.width // 2), layout.width - image.width)
        return self._patch(image, left, layout.height - height)

    def _patch(self, image: Image.Image, left: int, top: int) -> Patch:
        """Return what of a drawing lies in the picture, from square pixels to those of the video."""
        if self._stretch != 1:
            width = max(1, round(image.width * self._stretch))
            left = min(round(left * self._stretch), max(0, self._width - width))
            image = image.resize((width, image.height), Image.Resampling.BOX)
        pixels = np.asarray(image)[max(0, -top) :, max(0, -left) :]
        top, left = max(0, top), max(0, left)
        return Patch(left, top, pixels[: max(0, self._layout.height - top), : max(0, self._width - left)])


def lanes_of(spans: tuple[Span, ...]) -> list[int]:
    """Return the lane of each segment, from 0: segments of a lane do not overlap, as far as the lanes suffice."""
    free_from = [(float("-inf"), lane) for lane in range(MOST_LANES)]
    lanes = []
    for span in spans:
        free = [lane for end, lane in free_from if end <= span.start_seconds]
        lane = min(free) if free else min(free_from)[1]
        free_from = [(span.end_seconds, lane) if other == lane else (end, other) for end, other in free_from]
        lanes.append(lane)
    return lanes


def percent(score: float) -> str:
    """Return a score for people, without decimal places."""
    return f"{score * 100:.0f} %"
