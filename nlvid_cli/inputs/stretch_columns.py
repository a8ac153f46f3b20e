"""Columns of a table that say which part of a video a row is about: ``start,end`` in all their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.times import TIME_FORMS, seconds_of
from nlvid_cli.video.segment import Stretch

Unit = Literal["seconds", "milliseconds", "frames"]
"""What the numbers of a column count."""

_NAME = re.compile(
    r"(?:(?P<before>clip|segment|seg|action|event|video|temporal|label|time|t|timestamp|frame|frames|sec|ms)_)?"
    r"(?P<side>start|starts|begin|begins|beginning|from|onset|end|ends|stop|stops|to|until|offset|finish)"
    r"(?:_?(?P<after>time|times|timestamp|timestamps|ts|time_s|time_sec|time_seconds|time_ms|seconds|second|secs|sec|s"
    r"|milliseconds|msec|ms|frames|frame|frame_number|frame_index|frame_idx|frame_id|index|idx))?"
)
"""Name of a column in small letters: ``start``, ``t_end``, ``clip_start_time``, ``stop_timestamp``, ``frame_start``."""

_STARTS = frozenset(("start", "starts", "begin", "begins", "beginning", "from", "onset"))

_MILLISECONDS = frozenset(("ms", "msec", "milliseconds", "time_ms"))

_FRAMES = frozenset(("frames", "frame", "frame_number", "frame_index", "frame_idx", "frame_id", "index", "idx"))


@dataclass(frozen=True, slots=True)
class StretchColumns:
    """The columns of starts and ends.

    Attributes:
        start: Index of the column of starts.
        end: Index of the column of ends.
        names: Their names.
        unit: What their numbers count.
    """

    start: int
    end: int
    names: tuple[str, str]
    unit: Unit

    def read(self, cells: Sequence[object], where: str) -> tuple[float | None, float | None]:
        """Return the start and the end of a row, in seconds or as numbers of frames; None for an empty cell.

        Raises:
            DataSetError: A cell is not a time, the end is not after the start, or the start is before the video.
        """
        start, end = (
            self._number(str(cells[column]), name, where)
            for column, name in zip((self.start, self.end), self.names, strict=True)
        )
        if start is not None and start < 0:
            raise DataSetError(f"{where}: {self.names[0]} ({start:g}) is before the start of the video")
        if end is not None and end <= (start or 0):
            unit = "" if self.unit == "frames" else " s"
            raise DataSetError(
                f"{where}: {self.names[1]} ({end:g}{unit}) is not after {self.names[0]} ({start or 0:g}{unit})"
            )
        return start, end

    def stretch(self, cells: Sequence[object], where: str) -> Stretch | None:
        """Return the stretch of a row; None for all of the video: both cells are empty.

        Raises:
            DataSetError: See :meth:`read`; or the number of a frame is not a whole number.
        """
        start, end = self.read(cells, where)
        if start is end is None:
            return None
        if self.unit != "frames":
            return Stretch(start, end)
        broken = next((number for number in (start, end) if number is not None and not number.is_integer()), None)
        if broken is not None:
            raise DataSetError(f"{where}: {broken:g} is not the number of a frame")
        return Stretch(start_frame=None if start is None else int(start), end_frame=None if end is None else int(end))

    def _number(self, text: str, name: str, where: str) -> float | None:
        if not text.strip():
            return None
        seconds = seconds_of(text)
        if seconds is None:
            what = "the number of a frame" if self.unit == "frames" else f"a time such as {TIME_FORMS}"
            raise DataSetError(f"{where}: {name} must be {what}, not {text!r}")
        return seconds / 1000 if self.unit == "milliseconds" else seconds


def find_stretch_columns(header: Sequence[str]) -> StretchColumns | None:
    """Find the columns of starts and ends; None if there are none.

    Args:
        header: Names of the columns, as :func:`nlvid_cli.inputs.separated.column_name` returns them.

    Returns:
        Columns of times before columns of frames, where a table has both.
    """
    found: dict[tuple[Unit, bool], int] = {}
    for column, name in enumerate(header):
        match = _NAME.fullmatch(name)
        if match:
            found.setdefault((_unit(match), match["side"] in _STARTS), column)
    units: tuple[Unit, ...] = ("seconds", "milliseconds", "frames")
    for unit in units:
        start, end = found.get((unit, True)), found.get((unit, False))
        if start is not None and end is not None:
            return StretchColumns(start, end, (header[start], header[end]), unit)
    return None


def is_stretch_column(name: str) -> bool:
    """Whether a column of this name holds starts or ends."""
    return _NAME.fullmatch(name) is not None


def _unit(match: re.Match[str]) -> Unit:
    words = {match["before"], match["after"]}
    if words & _FRAMES:
        return "frames"
    return "milliseconds" if words & _MILLISECONDS else "seconds"
