from __future__ import annotations

import os

import pytest

from nlvid_cli.inputs.passed_over import PassedOver


def _passed_over(*names: str) -> PassedOver:
    passed_over = PassedOver()
    for name in names:
        passed_over.add(name)
    return passed_over


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a.txt"], "1 file passed over: 1 .txt"),
        (["a.jpg", *(f"{n}.TXT" for n in range(9)), "b.Jpg", "deep/c.jpg"], "12 files passed over: 9 .txt, 3 .jpg"),
        (["README", "a.b/Makefile", "x."], "3 files passed over: 2 without a suffix, 1 other"),
        (
            ["a.a", "a.a", "a.b", "a.b", "a.c", "a.c", "a.d", "a.d", "a.e", "a.e", "a.f", "a.g"],
            "12 files passed over: 2 .a, 2 .b, 2 .c, 2 .d, 2 .e, 2 others",
        ),
        (["x.\x1b[2J", "x.a\u202eb", "1. The end of it", os.fsdecode(b"x.\xff"), "x." + "y" * 200, "a.\n"], None),
    ],
)
def test_counts(names: list[str], text: str | None) -> None:
    assert str(_passed_over(*names)) == (text or "6 files passed over: 6 others")


def test_what_systems_keep_for_themselves_does_not_count() -> None:
    assert not _passed_over(".DS_Store", "v/._a.mp4", "v/Thumbs.db", "DESKTOP.INI", ".git")
    assert _passed_over("my thumbs.db")


def test_folders_of_frames() -> None:
    assert _passed_over("1.jpg", "2.JPG", "notes.txt").are_frames
    assert not _passed_over("cover.jpg", "a.pdf", "b.pdf").are_frames
    assert not _passed_over().are_frames
