"""Letters that a font has not, lines that fit, and fonts that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.video.fonts import Font, plain_line


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
