from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len

from nlvid_cli.report.timeline.table import TimelineTableRenderer
from tests.report.samples import FAILURE
from tests.report.timeline.samples import long_timeline, made_timeline


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _text(timeline: object, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    renderer = TimelineTableRenderer(stream)
    renderer.add(timeline, 12.3)  # type: ignore[arg-type]
    renderer.add(FAILURE, 1.0)
    renderer.close()
    return stream.getvalue()


def test_segments_with_bars_that_show_where_they_lie() -> None:
    lines = _text(made_timeline()).splitlines()
    assert "3 segments" in lines[0]
    first, second = (next(line for line in lines if name in line) for name in ("run", "walk <b>&"))
    assert "0:01.00" in first
    assert "0:03.50" in first
    assert "0.900" in first
    assert first.index("█") < second.index("█")
    assert first.rindex("█") <= second.index("█")
    assert "\x1b[" not in "".join(lines)  # no colours in a file
    assert "music.mp3" not in "".join(lines)  # failures are told on stderr


@pytest.mark.parametrize("columns", [40, 60, 100, 200])
def test_lines_fit_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    text = re.sub(r"\x1b\[[0-9;]*m", "", _text(long_timeline(30), Terminal()))
    assert max(cell_len(line) for line in text.splitlines()) <= columns
    assert "58:00.00" in text
    assert any(glyph in text for glyph in "█▌▐")


def test_a_terminal_without_blocks() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    TimelineTableRenderer(stream).add(made_timeline(), 1.0)
    stream.flush()
    assert "..###" in stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]


def test_no_segment_says_what_to_lower() -> None:
    low = made_timeline(())
    text = _text(low)
    assert "no segment" in text
    assert "lower --begin" in text
    high = made_timeline(((1.0, 2.0, 0),))
    without = type(high)(**(high.__dict__ | {"segments": ()}))
    assert "lower --shortest" in _text(without)


def test_names_from_strangers() -> None:
    text = _text(made_timeline(labels=("a\x1b[31mb\n", "[bold]b", "c", "d"), video="x\x1b[2J.mp4"), Terminal())
    assert "\x1b[31mb" not in text
    assert "a\\x1b[31mb\\n" in text
    assert "[bold]b" in text
    assert "\x1b[2J" not in text
