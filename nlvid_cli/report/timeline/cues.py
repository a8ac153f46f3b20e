"""Cues of subtitles: segments in whole milliseconds.

Players show cues of SRT that overlap in different ways, and some only one of them. So there each cue holds all labels
of its time, one a line. WebVTT says how cues that overlap are shown: there each segment is a cue.

::

    segments     AAAAAAAA          WebVTT   A A A A A A A       SRT    A A A|A A|B
                      BBBBBB                        B B B              . . .|B B|.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from nlvid_cli.recognize.timeline import ActionSegment, Timeline


@dataclass(frozen=True)
class Cue:
    """Labels to show for a time, in milliseconds from the first frame."""

    start: int
    end: int
    labels: tuple[str, ...]


def cues(timeline: Timeline) -> Iterator[Cue]:
    """Return a cue per segment, by start. Only labels that do not exclude each other overlap."""
    for start, end, segment in _in_milliseconds(timeline):
        yield Cue(start, end, (segment.label,))


def cues_without_overlap(timeline: Timeline) -> Iterator[Cue]:
    """Return a cue per time in which the same segments are on, by start."""
    coming = list(_in_milliseconds(timeline))
    borders = sorted({time for start, end, _ in coming for time in (start, end)})
    current: list[tuple[int, int, ActionSegment]] = []
    first = 0
    for start, end in pairwise(borders):
        while first < len(coming) and coming[first][0] <= start:
            current.append(coming[first])
            first += 1
        current = [entry for entry in current if entry[1] > start]
        if current:
            yield Cue(start, end, tuple(entry[2].label for entry in current))


def _in_milliseconds(timeline: Timeline) -> Iterator[tuple[int, int, ActionSegment]]:
    """Return start, end and segment; rounded, but never beyond the end of the video."""
    last = int(timeline.prediction.facts.duration_seconds * 1000 + 1e-3)  # 10.01 * 1000 is a little less than 10010
    for segment in timeline.segments:
        start, end = round(segment.start_seconds * 1000), min(round(segment.end_seconds * 1000), last)
        if end > start:
            yield start, end, segment
