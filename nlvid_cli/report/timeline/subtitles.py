"""Subtitles: SRT, as players read it, and WebVTT (https://www.w3.org/TR/webvtt1/)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TextIO

from nlvid_cli.recognize.timeline import Timeline, TimelineResult
from nlvid_cli.report.timeline.cues import cues, cues_without_overlap

_CONTROL = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029]+")
_BYTES = re.compile("[\ud800-\udfff]")

_NO_TAGS = str.maketrans({"<": "\u2039", ">": "\u203a", "{": "(", "}": ")", "\\": "/"})
r"""SRT has no escapes, and players take ``<b>``, ``{\an8}`` and ``\N`` for commands: signs that look alike instead."""


class SubtitleRenderer:
    """Writes the subtitles of one video; nothing for one that failed.

    Args:
        stream: Stream to write to.
        lines: Makes the lines of the file.
    """

    def __init__(self, stream: TextIO, as_vtt: bool) -> None:
        self._stream = stream
        self._lines = vtt_lines if as_vtt else srt_lines

    def add(self, result: TimelineResult, elapsed_seconds: float) -> None:
        """Write the cues of a video."""
        if isinstance(result, Timeline):
            self._stream.writelines(f"{line}\n" for line in self._lines(result))
            self._stream.flush()

    def close(self) -> None:
        """Do nothing: there is no footer."""


def srt_lines(timeline: Timeline) -> Iterator[str]:
    """Return the lines of an SRT file; cues do not overlap."""
    for number, cue in enumerate(cues_without_overlap(timeline), start=1):
        yield str(number)
        yield f"{_time(cue.start)} --> {_time(cue.end)}".replace(".", ",")
        yield from (one_line(label).translate(_NO_TAGS) for label in cue.labels)
        yield ""


def vtt_lines(timeline: Timeline) -> Iterator[str]:
    """Return the lines of a WebVTT file; cues of labels that may be true together may overlap."""
    yield "WEBVTT"
    yield ""
    for number, cue in enumerate(cues(timeline), start=1):
        yield str(number)
        yield f"{_time(cue.start)} --> {_time(cue.end)}"
        yield from (html.escape(one_line(label), quote=False) for label in cue.labels)
        yield ""


def one_line(text: str) -> str:
    """Return a text on one line that any program can read; an empty one would end a cue."""
    return _BYTES.sub("\ufffd", _CONTROL.sub(" ", text)).strip() or "?"


def _time(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{thousandths:03d}"
