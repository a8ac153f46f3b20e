from __future__ import annotations

import io
import sys

import pytest
from rich.table import Table
from rich.text import Text

from nlvid_cli.report.console import PlainConsole, Spinner, styled
from nlvid_cli.system.terminal import Terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def _shown(*renderables: object) -> str:
    screen = Screen()
    console = PlainConsole(screen)
    for renderable in renderables:
        console.print(renderable)
    return screen.getvalue()


@pytest.fixture(autouse=True)
def without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")


def test_nothing_in_a_text_is_markup_or_a_control_code() -> None:
    table = Table("na\x1bme", title="t\u202e")
    table.add_row("[red]a[/]\nb :smile: \x1b[2J")
    text = _shown(table, "[link=x]c[/link]\x9b", styled("d\ne\x07", "red"))
    assert r"[red]a[/]\nb :smile: \x1b[2J" in text
    assert r"na\x1bme" in text
    assert r"t\u202e" in text
    assert "[link=x]c[/link]\\x9b\n" in text
    assert "d\\ne\\x07\n" in text


def test_texts_that_were_made_elsewhere_are_cleaned_too() -> None:
    assert _shown(Text("a\x1b]0;t\u200bb\nc", style="bold")) == "a\\x1b]0;t\\u200bb\nc\n"


def test_long_cells_are_measured_as_they_are_shown() -> None:
    table = Table("name")
    table.add_row("\x1b" * 10)
    rows = _shown(table).splitlines()
    assert len({len(row) for row in rows}) == 1
    assert "\\x1b" * 10 in "".join(rows)


def test_lines_go_above_a_spinner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", Terminal(screen))
    with Spinner("work [b]\x1b[2J") as spinner:
        print("hostile \x1b[31m name", file=sys.stderr)
        spinner.show("more\u202e")
        spinner.refresh()
    assert "hostile \\x1b[31m name\n" in screen.getvalue()
    assert "work [b]\\x1b[2J" in screen.getvalue()
    assert "more\\u202e" in screen.getvalue()
    assert "\x1b[31m" not in screen.getvalue()
    print("afterwards", file=sys.stderr)
    assert screen.getvalue().endswith("afterwards\n")


def test_no_spinner_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    file, screen = io.StringIO(), Screen()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(sys, "stdout", Terminal(screen))
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Spinner("work"):
        print("a result")
    assert file.getvalue() == ""
    assert screen.getvalue() == "a result\n"
