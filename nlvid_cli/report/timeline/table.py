"""The timeline for people: a row per segment, with a bar that shows where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nlvid_cli.recognize.timeline import ActionSegment, Timeline, TimelineResult
from nlvid_cli.report.console import PlainConsole, styled
from nlvid_cli.report.table import clock_time, how_it_was_looked_at, name_of, plain_table
from nlvid_cli.report.timeline.bars import Span, bar
from nlvid_cli.report.timeline.colours import hex_colours
from nlvid_cli.report.timeline.summary import covered, how_many, rule_sentence, why_empty
from nlvid_cli.system.terminal import visible

ROOM_FOR_BARS = 64
"""Columns of a terminal from which each segment has a bar of its own; a narrower one gets one bar for all."""

NARROWEST_BAR, WIDEST_BAR = 12, 60
LABEL_COLUMNS = 32
"""Columns that the labels get before the bars do."""

FRAME_COLUMNS = 16
"""Columns of the lines and blanks around five cells."""


class TimelineTableRenderer:
    """Prints a table per video. Colours and width follow the terminal; files and pipes get plain text."""

    def __init__(self, stream: TextIO) -> None:
        self._console = PlainConsole(stream)

    def add(self, result: TimelineResult, elapsed_seconds: float) -> None:
        """Print the table of one video; failures are reported on stderr instead."""
        if isinstance(result, Timeline):
            self._console.print(self._tables(result, elapsed_seconds))

    def close(self) -> None:
        """Do nothing: there is no footer."""

    def _tables(self, timeline: Timeline, elapsed_seconds: float) -> RenderableType:
        width, ascii_only = self._console.width, self._console.options.ascii_only
        parts: list[RenderableType] = [styled(name_of(timeline.prediction), "bold").append(f"  {how_many(timeline)}")]
        if not timeline.segments:
            parts.append(styled(why_empty(timeline), "yellow"))
        elif width >= ROOM_FOR_BARS:
            parts.append(_with_bars(timeline, width, ascii_only))
        else:
            parts += [_one_bar(timeline, width, ascii_only), _without_bars(timeline, ascii_only)]
        parts += [
            styled(rule_sentence(timeline), "dim"),
            styled(how_it_was_looked_at(timeline.prediction, elapsed_seconds), "dim"),
            *(styled(f"warning: {warning}", "yellow") for warning in timeline.prediction.warnings),
        ]
        return Group(*parts, "")


def _with_bars(timeline: Timeline, width: int, ascii_only: bool) -> Table:
    colours = hex_colours(timeline)
    start, end = covered(timeline)
    times = max(len(clock_time(segment.end_seconds)) for segment in timeline.segments)
    label = min(max(cell_len(visible(segment.label)) for segment in timeline.segments), LABEL_COLUMNS)
    columns = max(NARROWEST_BAR, min(width - 2 * times - label - len("score") - FRAME_COLUMNS, WIDEST_BAR))
    first, last = clock_time(start).split(".")[0], clock_time(end).split(".")[0]
    table = Table()
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("to", justify="right", no_wrap=True)
    table.add_column("label", overflow="fold", min_width=len("label"))
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column(f"{first}{last:>{columns - len(first)}}", width=columns, no_wrap=True)
    for segment in timeline.segments:
        table.add_row(*_cells(segment), bar([_span(timeline, segment, colours)], columns, ascii_only))
    return table


def _without_bars(timeline: Timeline, ascii_only: bool) -> Table:
    table = plain_table("from", "to", "label", "score")
    for number in (0, 1, 3):
        table.columns[number].justify = "right"
    colours = hex_colours(timeline)
    for segment in timeline.segments:
        cells = _cells(segment)
        key = styled("" if ascii_only else "■ ", colours[segment.index])
        table.add_row(*cells[:2], key.append(styled(segment.label)), *cells[3:])
    return table


def _one_bar(timeline: Timeline, width: int, ascii_only: bool) -> Text:
    colours = hex_colours(timeline)
    surest_last = sorted(timeline.segments, key=lambda segment: segment.score)
    return bar([_span(timeline, segment, colours) for segment in surest_last], width, ascii_only)


def _cells(segment: ActionSegment) -> tuple[str, str, str, str]:
    return clock_time(segment.start_seconds), clock_time(segment.end_seconds), segment.label, f"{segment.score:.3f}"


def _span(timeline: Timeline, segment: ActionSegment, colours: Mapping[int, str]) -> Span:
    start, end = covered(timeline)
    length = end - start or 1.0
    shares = ((seconds - start) / length for seconds in (segment.start_seconds, segment.end_seconds))
    first, last = (min(max(share, 0.0), 1.0) for share in shares)
    return Span(first, last, colours[segment.index])
