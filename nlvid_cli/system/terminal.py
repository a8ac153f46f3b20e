r"""What a terminal gets: only characters that a person can see.

A name from outside may hold codes that move the cursor, erase a line or change the order of the letters, and so hide
the message that it is part of. :class:`Terminal` stands before a terminal and writes such characters as escapes, for
example ``\x1b`` or ``\u202e``. Files and pipes are not changed: programs read them.

Letters of all scripts stay as they are, with their accents, and so do emoji. Joiners (U+200C, U+200D) become escapes,
also within emoji and Persian words: terminals disagree on how wide such sequences are, and two names that differ in
nothing else would look the same.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TextIO, cast

_LINE_FEED = "\n"

_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters (C0, DEL, C1)
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks and overrides of the writing direction
    "\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff"  # of no width; U+2060 to U+206F stay so in future versions
    "\xad\u034f\u180b-\u180f\ufe00-\ufe0d"  # soft hyphen, joiners, variants; U+FE0E and U+FE0F are written with emoji
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters without a picture
    "\u2028\u2029"  # separators of lines and paragraphs
    "\ufff0-\ufffb\ufffe\uffff"  # annotations, and what is no character
    "\ud800-\udfff"  # bytes of file names that are not UTF-8
    "\U0001107f\U00013430-\U00013440\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # layout of old scripts and of music
    "\U000e0000-\U000e0fff"  # tags and variants
    "]"
)
"""Characters that are invisible or that control a terminal. Blanks of any width are neither."""


def visible(text: str) -> str:
    r"""Return a text on one line, with escapes such as ``\x1b``, ``\n`` and ``\u202e`` for what cannot be seen."""
    return _HIDDEN.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Return a text as :func:`visible` does, but keep its line feeds."""
    return _LINE_FEED.join(map(visible, text.split(_LINE_FEED)))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class Terminal:
    """A text stream before a terminal; what is written to it becomes visible.

    Bars and spinners, which need control codes, write to :attr:`stream`; ``report/console.py`` is the only place that
    does.

    Args:
        stream: Stream of the terminal.

    Attributes:
        stream: The same.
        displays: For each bar or spinner on this terminal, a function that prints a line above it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.displays: list[Callable[[str], None]] = []
        self._line = ""  # begun while there was a display
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:
        """Encoding of the stream."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:
        """How the stream treats what its encoding does not have."""
        return self.stream.errors

    def write(self, text: str) -> int:
        """Write a text. While there is a display, whole lines go above it, and the rest waits."""
        with self._lock:
            *lines, rest = (self._line + visible_lines(text)).split(_LINE_FEED)
            if self.displays:
                for line in lines:
                    self.displays[-1](line)
                self._line = rest
            else:
                self._line = ""
                self.stream.write("".join(f"{line}\n" for line in lines) + rest)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream, with a line that waits if there is no display any more."""
        if self._line and not self.displays:
            self.write("")
        self.stream.flush()

    def isatty(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the number of the stream's file."""
        return self.stream.fileno()


def for_people(stream: TextIO) -> TextIO:
    """Return a :class:`Terminal` before a stream that is a terminal, and any other stream unchanged."""
    if isinstance(stream, Terminal) or not stream.isatty():
        return stream
    return cast("TextIO", Terminal(stream))


def behind(stream: TextIO) -> TextIO:
    """Return the stream behind a :class:`Terminal`, and any other stream unchanged."""
    return stream.stream if isinstance(stream, Terminal) else stream


def tell(message: str) -> None:
    """Print a message on one line of stderr, whatever names it holds."""
    print(visible(message), file=sys.stderr)


def print_lines(lines: Iterable[str]) -> None:
    """Print results on stdout, one a line; on a terminal, visible ones."""
    for line in lines:
        print(visible(line) if sys.stdout.isatty() else line)
