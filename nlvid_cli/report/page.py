"""HTML pages from the templates in ``templates/``.

A page is one file: it brings its styles and pictures, fetches nothing, and follows the reader's light or dark mode.
Only the page of a timeline runs a script.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlvid_cli._version import __version__
from nlvid_cli.report.evaluation import percent
from nlvid_cli.report.output import open_whole

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"

JOINERS = "\u200c\u200d"
"""Within words of some scripts, such as Persian, and within emoji."""


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write a page, whole or not at all.

    Args:
        path: Path of the file.
        template: Name of the page's template, without its suffix.
        values: What the template shows; ``title`` is one of them. Texts are escaped.

    Raises:
        OutputError: The file cannot be written.
    """
    page = environment().get_template(f"{template}.html.j2").render(version=__version__, **values)
    with open_whole(path) as stream:
        stream.write(page)


@cache
def environment() -> Environment:
    """Return the environment of all templates: escapes every text, and refuses a missing value."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Not for Markup, which is a subclass: its line ends are wanted.
        finalize=lambda value: _printable(value) if type(value) is str else value,
    )
    made.filters |= {"percent": percent, "width": _width}
    return made


def _printable(text: str) -> str:
    """Replace what a browser cannot show: bytes that are not UTF-8, and control characters other than joiners."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character in JOINERS else "\ufffd" for character in text)


def _width(share: float) -> str:
    return "0" if math.isnan(share) else f"{100 * share:.1f}%"
