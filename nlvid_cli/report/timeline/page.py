"""The page of a timeline: a player, the track of its segments, the score curves and a list, in one file.

The video is not in it; the page names it relative to itself. The page's own script and styles are the only ones that a
browser runs (``Content-Security-Policy``), and nothing is fetched but the video.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nlvid_cli.recognize.timeline import ActionSegment, Timeline
from nlvid_cli.report.page import TEMPLATES, environment, write_page
from nlvid_cli.report.table import clock_time, how_it_was_looked_at, name_of
from nlvid_cli.report.timeline.colours import hex_colours
from nlvid_cli.report.timeline.curves import HEIGHT, WIDTH, curve, lanes
from nlvid_cli.report.timeline.summary import covered, how_many, labels_in_order, rule_sentence, why_empty

MOST_CURVES = 40
"""Labels with a score curve, which has at most 10 kB: a page has at most 400 kB, and 600 bytes per segment."""

FEWEST_LABELS = 6
"""Labels to choose from, if there are so many: those with segments, and then those that come next."""

FIRST_CURVES = 3
"""Labels whose curves are drawn before the reader chooses any."""


@dataclass(frozen=True)
class Row:
    """A segment: times for people, and its place on the track in units of the drawing."""

    segment: ActionSegment
    start: str
    end: str
    x: float
    width: float
    lane: int


@dataclass(frozen=True)
class Label:
    """A label to choose: how many segments, how long they are together, its colour, and its curve."""

    name: str
    index: int
    count: int
    seconds: float
    colour: str
    points: str

    @property
    def note(self) -> str:
        """What stands beside the name."""
        return f"{self.count} x, {clock_time(self.seconds)}" if self.count else "no segment"


def write_timeline_page(timeline: Timeline, path: Path, video: Path | None) -> None:
    """Write the page of a timeline.

    Args:
        timeline: What to show.
        path: Path of the page.
        video: File to play; None if there is none on this machine, such as for an address or a folder of frames.

    Raises:
        OutputError: The file cannot be written.
    """
    labels = _labels(timeline)
    style = _style(labels)
    script = (TEMPLATES / "timeline.js").read_text(encoding="utf-8")
    write_page(
        path,
        "timeline",
        title=name_of(timeline.prediction),
        policy=_policy(style, script),
        style=_raw(style),
        script=_raw(script),
        source=None if video is None else _source(video, path),
        command=f"nlvid timeline {shlex.quote(timeline.video)} --video out.mp4",
        **_values(timeline, labels),
    )


def _values(timeline: Timeline, labels: list[Label]) -> dict[str, Any]:
    start, end = covered(timeline)
    rows = _rows(timeline, start, end)
    facts, rule = timeline.prediction.facts, timeline.rule
    return {
        "size": (facts.width, facts.height),
        "start": round(start, 6),
        "end": round(end, 6),
        "rows": rows,
        "lanes": 1 + max((row.lane for row in rows), default=0),
        "labels": labels,
        "first_curves": FIRST_CURVES,
        "count": how_many(timeline),
        "why_empty": "" if rows else why_empty(timeline),
        "rule": rule_sentence(timeline),
        "begin": rule.begin,
        "keep": rule.keep,
        "drawing": (WIDTH, HEIGHT),
        "how": how_it_was_looked_at(timeline.prediction),
        "warnings": timeline.prediction.warnings,
    }


def _rows(timeline: Timeline, start: float, end: float) -> list[Row]:
    scale = WIDTH / max(end - start, 1e-9)
    return [
        Row(
            segment,
            clock_time(segment.start_seconds),
            clock_time(segment.end_seconds),
            round((segment.start_seconds - start) * scale, 2),
            round(max((segment.end_seconds - segment.start_seconds) * scale, 0.5), 2),
            lane,
        )
        for segment, lane in zip(timeline.segments, lanes(timeline.segments), strict=True)
    ]


def _labels(timeline: Timeline) -> list[Label]:
    """Return the labels to choose from: the ones that are on longest first, then those with the highest peaks."""
    count: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for segment in timeline.segments:
        count[segment.index] = count.get(segment.index, 0) + 1
        seconds[segment.index] = seconds.get(segment.index, 0.0) + segment.end_seconds - segment.start_seconds
    chosen = labels_in_order(timeline)[: max(FEWEST_LABELS, len(seconds))]
    colours = hex_colours(timeline)
    start, end = covered(timeline)
    return [
        Label(
            timeline.labels[index],
            index,
            count.get(index, 0),
            seconds.get(index, 0.0),
            colours[index],
            curve(timeline, index, start, end) if rank < MOST_CURVES else "",
        )
        for rank, index in enumerate(chosen)
    ]


def _source(video: Path, page: Path) -> str:
    """Return the address of the video relative to the page; of another drive, its full address."""
    try:
        relative = os.path.relpath(video, page.parent)
    except ValueError:  # Windows has no way from one drive to another
        return video.absolute().as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def _style(labels: list[Label]) -> str:
    sheets = [environment().get_template(name).render() for name in ("style.css.j2", "timeline.css.j2")]
    return "\n".join([*sheets, *(f".l{label.index} {{ --c: {label.colour}; }}" for label in labels)])


def _policy(style: str, script: str) -> str:
    """Return the rule for the browser: this style, this script, and media from beside the page or chosen by hand."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; media-src 'self' file: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _raw(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - nlvid's own files, and numbers
