from __future__ import annotations

import io
import logging
import sys
import time
from collections import Counter

import pytest

from nlvid_cli.commands.logs import start_logging
from nlvid_cli.commands.progress import label_progress
from nlvid_cli.labelling.run import Tally
from nlvid_cli.report.labelling import duration, summary_lines
from tests.labelling.test_ledger import _failed, _row


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def tally() -> Tally:
    return Tally(40, done=9, failures=Counter({"UnreadableVideo": 1}), started=time.monotonic() - 20)


def _stderr(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, level: int = logging.INFO) -> io.StringIO:
    monkeypatch.setattr(sys, "stderr", stream)
    start_logging(level)
    return stream


def test_a_bar_on_a_terminal(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = _stderr(monkeypatch, _Terminal())
    with label_progress(tally, 2, 1) as listener:
        listener(_row("a.mp4"))
        time.sleep(0.3)
    assert "10/40" in stream.getvalue()
    assert "1 failed, 0." in stream.getvalue()
    assert " s left" in stream.getvalue()


def test_lines_elsewhere(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlvid_cli.commands.progress.LINE_SECONDS", 0.2)
    stream = _stderr(monkeypatch, io.StringIO())
    with label_progress(tally, 2, 1) as listener:
        listener(_row("a.mp4"))
        time.sleep(0.5)
    lines = stream.getvalue().splitlines()
    assert 1 <= len([line for line in lines if " 10 of 40 videos, " in line]) <= 2
    assert lines[0].startswith("note: 10 of 40 videos, 1 failed, 0.")
    assert lines[0].endswith(" s left")
    assert lines[-1] == "note: 30 videos are left; run the same command again to continue"


def test_nothing_with_quiet(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = _stderr(monkeypatch, _Terminal(), logging.ERROR)
    with label_progress(tally, 2, 1) as listener:
        listener(_row("a.mp4"))
    assert stream.getvalue() == ""


def test_summary(tally: Tally) -> None:
    tally.video_seconds = 3600.0
    tally.stages.add("decode", 20.0)
    tally.stages.add("network", 10.0)
    first, second, third, last = summary_lines(tally, workers=2, devices=1)
    assert first == "9 of 40 videos labelled, 1 failed, in 20 s: 0.5 videos/s, 180 hours of video per hour"
    assert second == "failed: 1 UnreadableVideo"
    assert third == "busy: decode 2 x 50 %, prepare 0 %, network 1 x 50 %, write 0 %"
    assert last == "30 videos are left; run the same command again to continue"


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234, "1.23 s"), (119, "119 s"), (125, "2.08 min"), (9000, "2.5 h"), (1e6, "11.6 days")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rows_count(tally: Tally) -> None:
    tally.count(_row("a.mp4"))
    tally.count(_failed("b.mp4"))
    assert (tally.done, tally.failed, tally.video_seconds) == (10, 2, 1.0)
    assert tally.failures == {"UnreadableVideo": 2}
