"""Text as pixels: a font at any size, the letters that it has not, and lines that fit a width.

The one font that comes with nlvid's libraries is Pillow's, Aileron, which has ASCII and a few signs: no letter with an
accent. So labels with other letters get a font of the machine, if a common one is installed.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from nlvid_cli.errors import UsageError

NO_CHARACTER = "\U0010ffff"
"""A code point that never is a character (Unicode, 23.7): fonts show their box for missing letters."""

CHECKED_PIXELS = 32
"""Size at which glyphs are compared."""

RIM = 0.04
"""Width of the rim of letters, as a share of their size."""

LONGEST = 300
"""Letters of a text that are looked at."""

SHAPED = ("R", "AL")
"""Directions (Unicode Annex 9) of letters that are laid out from right to left, and may be joined."""


COMMON = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "arial.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "msyh.ttc",
    "YuGothM.ttc",
    "malgun.ttf",
)
"""Files of fonts that systems have: those of European letters first, then Chinese, Japanese and Korean ones."""


class Font:
    """A font, at any size.

    Args:
        path: File of a TrueType or OpenType font (``ttf``, ``otf``, or ``ttc``, whose first font is taken). None: the
            font that comes with Pillow, which has few letters beyond ASCII.

    Raises:
        UsageError: The file is missing, is no font, or its letters are pictures of one size.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.at = lru_cache(maxsize=16)(self._at)
        self._checked = self._load(CHECKED_PIXELS)
        self._box = self._glyph(NO_CHARACTER)
        self.ellipsis = "..." if self.missing("\u2026") else "\u2026"

    def _at(self, pixels: int) -> ImageFont.FreeTypeFont:
        """Return the font with capitals and descenders within about this many pixels."""
        return self._load(pixels)

    def _load(self, pixels: int) -> ImageFont.FreeTypeFont:
        if self.path is None:
            font = ImageFont.load_default(pixels)
            assert isinstance(font, ImageFont.FreeTypeFont)  # any other is Pillow without FreeType
            return font
        try:
            return ImageFont.truetype(os.fspath(self.path), pixels)
        except (OSError, ValueError) as error:
            reason = "no such file" if not self.path.exists() else f"not a scalable font ({error})"
            raise UsageError(f"{self.path}: {reason}; --font takes a TrueType or OpenType file") from None

    def missing(self, text: str) -> tuple[str, ...]:
        """Return the letters of a text that the font has not, each once, in their order."""
        letters = dict.fromkeys(letter for letter in text if not _is_invisible(letter))
        return tuple(letter for letter in letters if self._glyph(letter) in (self._box, None))

    def nearest(self, text: str) -> str:
        """Return a text with plain letters for those with accents that the font has not."""
        plain = {letter: unicodedata.normalize("NFD", letter)[0] for letter in self.missing(text)}
        return "".join(
            letter if letter not in plain or self.missing(plain[letter]) else plain[letter] for letter in text
        )

    def _glyph(self, letter: str) -> tuple[tuple[int, int], bytes] | None:
        """Return size and pixels of a letter; None if nothing is drawn."""
        mask = self._checked.getmask(letter)
        return (mask.size, bytes(mask)) if mask.size[0] and mask.size[1] else None

    def width(self, text: str, pixels: int) -> float:
        """Return the width of a line."""
        return self.at(pixels).getlength(text)

    def shortened(self, text: str, pixels: int, width: float) -> str:
        """Return the text, or as much of its start as fits in ``width`` with an ellipsis behind it."""
        if self.width(text, pixels) <= width:
            return text
        fits, too_many = 0, len(text)
        while fits + 1 < too_many:
            middle = (fits + too_many) // 2
            if self.width(text[:middle].rstrip() + self.ellipsis, pixels) <= width:
                fits = middle
            else:
                too_many = middle
        while fits and unicodedata.combining(text[fits]):  # an accent stays with its letter
            fits -= 1
        return text[:fits].rstrip() + self.ellipsis

    def draw(self, image: Image.Image, left: int, middle: int, text: str, pixels: int) -> None:
        """Draw a white line on an RGBA picture, capitals centred on ``middle``; its dark rim shows on bright bars."""
        ImageDraw.Draw(image).text(
            (left, middle + round(0.36 * pixels)),
            text,
            font=self.at(pixels),
            fill=(255, 255, 255, 255),
            anchor="ls",
            stroke_width=round(RIM * pixels),
            stroke_fill=(0, 0, 0, 200),
        )


def font_for(texts: Iterable[str]) -> Font:
    """Return Pillow's font, or a common one of this machine if that has more of the letters of some texts."""
    letters = "".join(dict.fromkeys("".join(texts)))
    best = Font()
    lacking = len(best.missing(letters))
    for name in COMMON:
        if not lacking:
            break
        if Path(name).exists():  # in the working folder, where Pillow looks first: of whoever made that folder
            continue
        with suppress(UsageError):  # not installed
            font = Font(Path(name))
            if (count := len(font.missing(letters))) < lacking:
                best, lacking = font, count
    return best


def plain_line(text: str) -> str:
    """Return a text as one line that can be drawn: composed letters, and no control characters."""
    composed = unicodedata.normalize("NFC", " ".join(text[:LONGEST].split()))
    return "".join(letter if letter.isprintable() or _is_invisible(letter) else "?" for letter in composed)


def needs_shaping(text: str) -> bool:
    """Whether a text runs from right to left or joins its letters, and this machine cannot lay it out.

    Pillow does so with Raqm, which needs FriBiDi. Wheels bring the first and look for the second on the machine.
    """
    return not features.check("raqm") and any(
        unicodedata.bidirectional(letter) in SHAPED or unicodedata.category(letter) == "Mc" for letter in text
    )


def _is_invisible(letter: str) -> bool:
    """Whether a letter has nothing to draw: spaces, joiners, variation selectors."""
    return letter.isspace() or unicodedata.category(letter) == "Cf" or 0xFE00 <= ord(letter) <= 0xFE0F
