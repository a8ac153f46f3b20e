from __future__ import annotations

import io
from dataclasses import replace

from nlvid_cli.datasets.check import DataReport, Duplicate, Finding
from nlvid_cli.datasets.suspicions import ClassCount
from nlvid_cli.report.console import PlainConsole
from nlvid_cli.report.data_check import data_check

WELL = DataReport(
    source="folder per class",
    kind="single",
    split="val-0.2-seed-0",
    videos=90,
    seconds=234.0,
    frames=(36, 60, 146),
    classes=(ClassCount("run [fast]", 7, 2), ClassCount("walk", 70, 12)),
    unreadable=(),
    too_short=(),
    odd=(),
    duplicates=(),
    suspicions=(),
)


def _text(report: DataReport) -> str:
    stream = io.StringIO()
    PlainConsole(stream).print(data_check(report))
    return stream.getvalue()


def test_a_few_lines_if_nothing_is_wrong() -> None:
    assert [line.rstrip() for line in _text(WELL).splitlines()] == [
        "90 videos of 2 classes, folder per class, split val-0.2-seed-0; 3.9 min, 36 to 146 frames (median 60)",
        "class       train  val",
        "run [fast]      7    2",
        "walk           70   12",
        "all is well",
    ]


def test_what_is_wrong_with_file_and_line() -> None:
    report = replace(
        WELL,
        split=None,
        kind="multi",
        seconds=4.0,
        unreadable=(Finding("t.csv, line 7", "clips/[a].mp4", "empty file (0 bytes)"),),
        too_short=tuple(Finding(f"t.csv, line {n}", "b\x1b.mp4", "3 frames, fewer than 8") for n in range(25)),
        duplicates=(
            Duplicate((("a.mp4", "line 1"), ("b.mp4", "line 2")), False, False),
            Duplicate((("c.mp4", "line 3"), ("d.mp4", "line 4")), True, True),
        ),
        suspicions=("no video for validation of run",),
    )
    lines = _text(report).splitlines()
    assert lines[0] == "90 videos of 2 classes (multi-label), folder per class; 4.0 s, 36 to 146 frames (median 60)"
    assert lines[lines.index("cannot be used: 1") + 1] == "  t.csv, line 7: clips/[a].mp4: empty file (0 bytes)"
    assert lines[lines.index("too short: 25") + 1] == "  t.csv, line 0: b\\x1b.mp4: 3 frames, fewer than 8"
    assert "  ... and 5 more" in lines
    start = lines.index("same content: 2")
    assert lines[start + 1] == "  c.mp4 (line 3) = d.mp4 (line 4): in training and validation, with different labels"
    assert lines[start + 2] == "  a.mp4 (line 1) = b.mp4 (line 2)"
    assert lines[-1] == "suspicious: no video for validation of run"


def test_many_classes_are_not_all_listed() -> None:
    many = tuple(ClassCount(f"class {number}", 30 - number, 1) for number in range(30))
    assert "class 0" not in _text(replace(WELL, classes=many))
    suspicious = _text(replace(WELL, classes=many, suspicions=("x",)))
    assert "class 29" in suspicious  # the smallest ones are shown
    assert "... and 10 classes with more videos" in suspicious
