"""Bars of characters that show where segments lie, half a character exact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from rich.style import Style
from rich.text import Text

GLYPHS = {(False, False): "·", (True, False): "▌", (False, True): "▐", (True, True): "█"}
"""From whether the left and the right half are covered to a character."""

ASCII = {(False, False): ".", (True, False): "#", (False, True): "#", (True, True): "#"}


@dataclass(frozen=True)
class Span:
    """A part of a bar: its start and end as shares of the bar in [0, 1], and its colour (``#rrggbb``)."""

    start: float
    end: float
    colour: str


def bar(spans: Iterable[Span], columns: int, ascii_only: bool = False) -> Text:
    """Draw a bar.

    Args:
        spans: What to show. Of those that overlap, the later one is seen; even the shortest gets half a character.
        columns: Width.
        ascii_only: Whether the terminal has nothing but ASCII.
    """
    halves: list[str | None] = [None] * (2 * columns)
    for span in spans:
        first = min(int(span.start * len(halves)), len(halves) - 1)
        last = min(max(round(span.end * len(halves)), first + 1), len(halves))
        halves[first:last] = [span.colour] * (last - first)
    cells = [_cell(left, right, ascii_only) for left, right in zip(halves[::2], halves[1::2], strict=True)]
    text = Text(no_wrap=True, overflow="crop")
    for style, alike in groupby(cells, key=lambda cell: cell[1]):
        text.append("".join(glyph for glyph, _ in alike), style)
    return text


def _cell(left: str | None, right: str | None, ascii_only: bool) -> tuple[str, Style]:
    """Return the character and the style for the colours of two halves."""
    glyph = (ASCII if ascii_only else GLYPHS)[left is not None, right is not None]
    if left is not None and right is not None and left != right and not ascii_only:
        return GLYPHS[True, False], Style(color=left, bgcolor=right)
    return glyph, Style(color=left or right, dim=left is right is None)
