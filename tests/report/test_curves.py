from __future__ import annotations

import math
import xml.etree.ElementTree as Tree

import pytest

from nlvid_cli.report.curves import Curve, chart, thinned, ticks
from nlvid_cli.report.page import environment


def _html(title: str, curves: list[Curve], shares: bool = False) -> str:
    template = environment().from_string('{% from "charts.html.j2" import chart %}{{ chart(c) }}')
    return template.render(c=chart(title, curves, "step", shares))


def _svg(html: str) -> Tree.Element:
    svg = Tree.fromstring(html).find("svg")
    assert svg is not None
    return svg


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (0, 2.4, (0, 0.5, 1.0, 1.5, 2.0)),
        (1, 1000, (200, 400, 600, 800, 1000)),
        (-0.3, 0.2, (-0.3, -0.2, -0.1, 0, 0.1, 0.2)),
        (0, 0.009, (0, 0.002, 0.004, 0.006, 0.008)),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert ticks(low, high) == pytest.approx(expected, abs=1e-12)


def test_points_lie_where_their_values_are() -> None:
    svg = _svg(_html("Loss", [Curve("a", ((0, 0.0), (10, 1.0), (20, 0.5)))]))
    line = svg.find("polyline")
    assert line is not None
    (x0, y0), (x1, y1), (x2, y2) = [map(float, point.split(",")) for point in line.attrib["points"].split()]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 > y2 > y1  # downwards in pixels
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.2)
    heights = {text.text: float(text.attrib["y"]) - 4 for text in svg.findall("text") if text.attrib["x"] == "52"}
    assert heights["0"] == pytest.approx(y0, abs=0.1)
    assert heights["1"] == pytest.approx(y1, abs=0.1)


def test_names_are_text_and_the_last_value_is_told() -> None:
    html = _html("<b>", [Curve("a < b & c", ((1, 0.25), (2, 0.9135)))], shares=True)
    assert "<b>Loss" not in html
    assert "a &lt; b &amp; c <b>91.3 %</b>" in html or "a &lt; b &amp; c <b>91.4 %</b>" in html
    assert "100 %" in html
    Tree.fromstring(html)


def test_one_point_and_none_and_no_numbers() -> None:
    assert _svg(_html("t", [Curve("a", ((3, 0.5),))])).find("circle") is not None
    assert chart("t", [], "step") is None
    assert chart("t", [Curve("a", ((1, math.nan),))], "step") is None
    assert thinned([(1, 0.5), (2, math.inf), (3, math.nan), (4, 1.0)]) == ((1, 0.5), (4, 1.0))


def test_many_points_become_means_of_neighbours() -> None:
    points = [(float(n), float(n % 2)) for n in range(4000)]
    thin = thinned(points)
    assert len(thin) == 400
    assert all(y == 0.5 for _, y in thin)
    assert thin[0][0] == 4.5
