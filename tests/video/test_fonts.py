"""Letters that a font has not, lines that fit, and fonts that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.video import fonts
from nlvid_cli.video.fonts import Font, font_for, plain_line


def test_letters_that_the_font_has_not_are_named() -> None:
    assert Font().missing("arm wrestling") == ()
    assert Font().missing("腕相撲 arm 腕") == ("腕", "相", "撲")


def test_long_texts_are_shortened_to_the_width() -> None:
    font = Font()
    short = font.shortened("eating a very long label indeed", 24, 150)
    assert short.endswith(font.ellipsis)
    assert font.width(short, 24) <= 150
    assert font.shortened("eating", 24, 150) == "eating"


def test_control_characters_are_not_drawn() -> None:
    assert plain_line("a\nb\x1b[31m\udc80") == "a b?[31m?"


@pytest.mark.parametrize("name", ["none.ttf", "text.ttf"])
def test_what_is_no_font_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.ttf").write_text("no font")
    with pytest.raises(UsageError, match="--font"):
        Font(tmp_path / name)


def test_accents_are_left_out_where_the_font_has_none() -> None:
    assert Font().nearest("jouer \u00e0 la p\u00e9tanque, ni\u00f1o") == "jouer a la petanque, nino"
    assert Font().nearest("stra\u00dfe \u8155") == "stra\u00dfe \u8155"


def test_a_font_of_the_machine_that_has_the_letters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert font_for(["running", "jumping"]).path is None
    monkeypatch.setattr(fonts, "COMMON", ("no such font.ttf", *fonts.COMMON))
    font = font_for(["\u00e0 la p\u00e9tanque"])
    if font.path is None:
        pytest.skip(f"no font is installed here: none of {', '.join(fonts.COMMON)}")
    assert font.missing("\u00e0 la p\u00e9tanque") == ()


def test_a_font_that_lies_in_the_working_folder_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in fonts.COMMON:
        Path(name).write_text("")
    assert font_for(["\u00e9"]).path is None
