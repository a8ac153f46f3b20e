from __future__ import annotations

import io
import sys
import unicodedata
from typing import TextIO, cast

import pytest

from nlvid_cli.system.terminal import Terminal, behind, for_people, print_lines, tell, visible


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
        ("two\nlines\r\tof\x00", r"two\nlines\r\tof\x00"),
        ("\x7f\x80\x9b31m\x9f", r"\x7f\x80\x9b31m\x9f"),
        ("gnp\u202e4pm.exe", r"gnp\u202e4pm.exe"),
        ("\u2066a\u2069\u200e\u200f\u061c", r"\u2066a\u2069\u200e\u200f\u061c"),
        ("run\u200bning\ufeff", r"run\u200bning\ufeff"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("soft\xadhyphen\u2060", r"soft\xadhyphen\u2060"),
        ("\u3164\uffa0\u115f\u2800", r"\u3164\uffa0\u115f\u2800"),
        ("\U000e0041\U000e0100", r"\U000e0041\U000e0100"),
        (b"caf\xe9.mp4".decode("utf-8", "surrogateescape"), r"caf\udce9.mp4"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\\u200d\U0001f469\\u200d\U0001f467"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "видео 1.mp4",
        "الجري",
        "ריצה",
        "走る\u3000人",
        "뛰기",
        "cafe\u0301 naïve",
        "दौड़ना",
        "❤️ ☀️ 1️⃣ 👍🏽 🇫🇷",
        "C:\\new",
        "50\xa0%",
    ],
)
def test_letters_of_all_scripts_stay(text: str) -> None:
    assert visible(text) == text


def test_every_control_and_format_character_is_escaped() -> None:
    """Except for the Arabic, Syriac and Kaithi signs that are drawn around numbers."""
    drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    hidden = {code for code in range(sys.maxunicode + 1) if visible(chr(code)) != chr(code)}
    kinds = {code: unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    assert {code for code, kind in kinds.items() if kind in ("Cc", "Cf", "Cs", "Zl", "Zp")} - drawn <= hidden
    assert {kinds[code] for code in hidden} <= {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn", "Mn", "Lo", "So"}
    letters = {chr(code) for code in hidden if kinds[code] in ("Lo", "So")}
    assert letters == set("\u115f\u1160\u2800\u3164\uffa0")


def test_a_terminal_gets_what_can_be_seen_and_others_get_everything() -> None:
    screen, file = Screen(), io.StringIO()
    for stream in (screen, file):
        print("a\x1b[31m\nb\x9b", file=for_people(stream))
    assert screen.getvalue() == "a\\x1b[31m\nb\\x9b\n"
    assert file.getvalue() == "a\x1b[31m\nb\x9b\n"
    wrapped = for_people(screen)
    assert for_people(wrapped) is wrapped
    assert (behind(wrapped), behind(file)) == (screen, file)
    assert not hasattr(wrapped, "buffer"), "a way around it"


def test_while_there_is_a_display_lines_go_above_it() -> None:
    screen, above = Screen(), []
    stream = Terminal(screen)
    stream.displays.append(above.append)
    stream.write("one\ntwo")
    assert above == ["one"]
    stream.write(" of them\nthree")
    assert above == ["one", "two of them"]
    assert screen.getvalue() == ""
    stream.displays.clear()
    stream.flush()
    assert screen.getvalue() == "three"


def test_messages_are_one_line_everywhere_and_results_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    tell("error: a\nb: \x1b[2J")
    print_lines(["a\nb"])
    assert err.getvalue() == "error: a\\nb: \\x1b[2J\n"
    assert out.getvalue() == "a\nb\n"
    monkeypatch.setattr(sys, "stdout", cast("TextIO", screen := Screen()))
    print_lines(["a\nb"])
    assert screen.getvalue() == "a\\nb\n"
