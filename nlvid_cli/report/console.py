"""The console that draws tables, bars and spinners; only this file makes texts and consoles of ``rich``.

Texts from outside are shown as they are: nothing in them is markup, and :func:`~nlvid_cli.system.terminal.visible`
writes control characters as escapes. The colours and the movements of the cursor are the console's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner as Dots
from rich.text import Text

from nlvid_cli.system.terminal import Terminal, behind, visible, visible_lines

PLAIN_WIDTH = 240
"""Width for files and pipes, so that lines are not wrapped there."""


def styled(text: str, style: str = "") -> Text:
    """Return a text on one line in a style, such as ``dim``; see :func:`~nlvid_cli.system.terminal.visible`."""
    return Text(visible(text), style)


class PlainConsole(Console):
    """A console without markup, which shows every text as :func:`styled` does and wraps lines only on a terminal.

    Args:
        stream: Stream to write to.
        quiet: Whether to write nothing.
    """

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        width = None if stream.isatty() else PLAIN_WIDTH
        super().__init__(file=behind(stream), width=width, highlight=False, markup=False, emoji=False, quiet=quiet)
        self._under: list[Terminal] = []

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a text of a string, such as a cell of a table."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render anything; texts that were not made here are cleaned too."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))

    def set_live(self, live: Live) -> bool:
        """Begin a bar or a spinner: lines that are written meanwhile go above it."""
        if not (self.quiet or self._under):
            self._under = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, Terminal)]
            for terminal in self._under:
                terminal.displays.append(self._print_above)
        return super().set_live(live)

    def clear_live(self) -> None:
        """End it."""
        super().clear_live()
        for terminal in self._under:
            terminal.displays.remove(self._print_above)
            terminal.flush()
        self._under = []

    def _print_above(self, line: str) -> None:
        self.print(line, soft_wrap=True)


class Spinner(Live):
    """A spinner with a text, as a context manager; silent where stderr is not a terminal."""

    def __init__(self, text: str) -> None:
        self._dots = Dots("dots", styled(text), style="status.spinner")
        console = PlainConsole(sys.stderr, quiet=not sys.stderr.isatty())  # FORCE_COLOR must not spin in a log file
        super().__init__(
            self._dots,
            console=console,
            refresh_per_second=12.5,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, text: str) -> None:
        """Change the text."""
        self._dots.update(text=styled(text))
