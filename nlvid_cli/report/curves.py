"""Line charts: where the curves, the ticks and their texts go; ``templates/charts.html.j2`` draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 10, 32
"""Pixels around the plot, for the numbers at its axes."""

MAX_POINTS = 400
"""Points per curve; of more, neighbours are averaged."""

COLOURS = 5
"""Number of colours in the style sheet; further curves begin again with the first."""


@dataclass(frozen=True)
class Curve:
    """A named series of (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Tick:
    """A number at an axis, and its pixel."""

    place: float
    text: str


@dataclass(frozen=True)
class Line:
    """A curve in pixels: its colour, the (x, y) of its points, and the text of its last value."""

    name: str
    colour: int
    places: tuple[tuple[float, float], ...]
    last: str


@dataclass(frozen=True)
class Chart:
    """A chart of :data:`WIDTH` x :data:`HEIGHT` pixels; y counts downwards, as in SVG."""

    title: str
    x_name: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def chart(title: str, curves: Sequence[Curve], x_name: str, shares: bool = False) -> Chart | None:
    """Lay out curves over common axes.

    Args:
        title: Title of the chart.
        curves: Curves; points that are not finite are left out.
        x_name: What x counts.
        shares: Whether y are shares, shown in per cent from 0 to 100.

    Returns:
        The chart, or None if no curve has a point.
    """
    drawn = [Curve(curve.name, thinned(curve.points)) for curve in curves]
    xs = [x for curve in drawn for x, _ in curve.points]
    ys = [y for curve in drawn for _, y in curve.points]
    if not xs:
        return None
    x_axis = _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y_axis = _Axis(min(0.0, *ys), 1.0 if shares else max(0.0, *ys), HEIGHT - BOTTOM, TOP)
    lines = tuple(
        Line(
            curve.name,
            number % COLOURS,
            tuple((x_axis.place(x), y_axis.place(y)) for x, y in curve.points),
            _number(curve.points[-1][1], shares, digits=4),
        )
        for number, curve in enumerate(drawn)
        if curve.points
    )
    return Chart(title, x_name, lines, x_axis.ticks(shares=False), y_axis.ticks(shares))


def thinned(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return at most :data:`MAX_POINTS` points, means of equal numbers of neighbours, without those not finite."""
    good = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    size = -(-len(good) // MAX_POINTS) or 1
    groups = [good[start : start + size] for start in range(0, len(good), size)]
    return tuple((sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups)


def ticks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Return about ``wanted`` round numbers from ``low`` to ``high``, in steps of 1, 2 or 5 times a power of ten."""
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
        return round(self.start + (value - self.low) / span * (self.end - self.start), 1)

    def ticks(self, shares: bool) -> tuple[Tick, ...]:
        values = ticks(self.low, self.high) if self.high > self.low else (self.low,)
        return tuple(Tick(self.place(value), _number(value, shares)) for value in values)


def _number(value: float, share: bool, digits: int = 3) -> str:
    if share:
        return f"{value * 100:.3g} %"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.{digits}g}"
