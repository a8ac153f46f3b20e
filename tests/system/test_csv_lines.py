"""CSV holds exact data, also what a spreadsheet takes for a formula; ``docs/json.md`` says why."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from nlvid_cli.inputs.videos import find_videos
from nlvid_cli.system.csv_lines import csv_writer

FORMULAS = ["=1+1", "+1", "-clip.mp4", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://a","b")', "-1", "'quoted"]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("text", [*FORMULAS, 'a "b", c', "two\nlines", "\r\n", "", "走る"])
def test_every_text_is_read_as_it_was_written(text: str) -> None:
    stream = io.StringIO(newline="")
    csv_writer(stream, ("video", "label")).writerow({"video": text, "label": text})
    (row,) = csv.DictReader(io.StringIO(stream.getvalue(), newline=""))
    assert row == {"video": text, "label": text}


def test_nlvid_finds_the_videos_of_its_own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["-clip.mp4", "=1+1.mp4", "@a.mp4", "+b.mp4"]
    for name in names:
        Path(name).touch()
    with Path("t.csv").open("w", newline="") as stream:
        rows = csv_writer(stream, ("video", "label"))
        for name in names:
            rows.writerow({"video": name, "label": "=run"})
    assert find_videos(["t.csv"]) == names


def test_a_terminal_gets_a_line_per_row() -> None:
    screen = Screen()
    csv_writer(screen, ("video",)).writerow({"video": "a\nb\x1b[2J\u202e"})
    assert screen.getvalue() == 'video\n"a\\nb\\x1b[2J\\u202e"\n'
