"""Line charts as inline SVG, which a page holds without any script or outside file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 10, 32
"""Pixels around the plot, for the numbers at its axes."""

MAX_POINTS = 400
"""Points of a curve; of more, neighbours are averaged."""

MAX_CURVES = 5
"""Colours that there are; further curves begin with the first one again."""


@dataclass(frozen=True)
class Curve:
    """A named row of (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


def chart(title: str, curves: Sequence[Curve], x_name: str, shares: bool = False) -> str:
    """A figure of HTML: the curves over common axes, and which is which.

    Args:
        title: above it; plain text, as are all names.
        curves: at least one with a point; points that are no numbers are left out.
        x_name: what x counts.
        shares: whether y are shares, shown in per cent from 0 to 100.
    """
    drawn = [Curve(curve.name, thinned(curve.points)) for curve in curves]
    xs = [x for curve in drawn for x, _ in curve.points]
    ys = [y for curve in drawn for _, y in curve.points]
    if not xs:
        return ""
    x_axis = _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y_axis = _Axis(min(0.0, *ys), 1.0 if shares else max(0.0, *ys), HEIGHT - BOTTOM, TOP)
    lines = "".join(_line(curve, x_axis, y_axis, place) for place, curve in enumerate(drawn))
    legend = "".join(
        f'<span class="key c{place % MAX_CURVES}">{escape(curve.name)} {_last(curve, shares)}</span>'
        for place, curve in enumerate(drawn)
        if curve.points
    )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{_grid(x_axis, y_axis, shares)}'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{escape(x_name)}</text>{lines}</svg>'
        f'<div class="legend">{legend}</div></figure>'
    )


def thinned(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most :data:`MAX_POINTS` points: means of equal numbers of neighbours; what is no number is left out."""
    good = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    size = -(-len(good) // MAX_POINTS) or 1
    groups = [good[start : start + size] for start in range(0, len(good), size)]
    return tuple((sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups)


def ticks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Round numbers from ``low`` to ``high``, about as many as are wanted: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return tuple(number * step for number in range(first, math.floor(high / step + 1e-9) + 1))


@dataclass(frozen=True)
class _Axis:
    """Values ``low`` to ``high`` on pixels ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self) -> tuple[float, ...]:
        return ticks(self.low, self.high) if self.high > self.low else (self.low,)


def _line(curve: Curve, x_axis: _Axis, y_axis: _Axis, place: int) -> str:
    places = [(x_axis.place(x), y_axis.place(y)) for x, y in curve.points]
    if len(places) == 1:
        return f'<circle class="c{place % MAX_CURVES}" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline class="c{place % MAX_CURVES}" fill="none" stroke="gray" points="{path}"/>' if places else ""


def _grid(x_axis: _Axis, y_axis: _Axis, shares: bool) -> str:
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_axis.place(y):.1f}" y2="{y_axis.place(y):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y_axis.place(y) + 4:.1f}" text-anchor="end">{_number(y, shares)}</text>'
        for y in y_axis.ticks()
    )
    columns = "".join(
        f'<text x="{x_axis.place(x):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{_number(x, False)}</text>'
        for x in x_axis.ticks()
    )
    return rows + columns


def _last(curve: Curve, shares: bool) -> str:
    return f"<b>{_number(curve.points[-1][1], shares, digits=4)}</b>"


def _number(value: float, share: bool, digits: int = 3) -> str:
    if share:
        return f"{value * 100:.3g} %"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.{digits}g}"
