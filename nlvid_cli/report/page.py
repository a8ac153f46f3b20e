"""A page in one HTML file: it brings all it needs, runs no script, and follows the reader's light or dark."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from nlvid_cli._version import __version__
from nlvid_cli.report.output import open_whole
from nlvid_cli.report.table import printable

STYLE = """
:root { color-scheme: light dark; --ink: #1c1f23; --faint: #6a7280; --paper: #fff; --line: #d9dde3;
  --blue: #2563eb; --orange: #d9480f; --green: #2b8a3e; --violet: #9c36b5; --yellow: #b08900; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #9aa3af; --paper: #16181c; --line: #353a42;
  --blue: #74a4ff; --orange: #ff922b; --green: #69db7c; --violet: #e599f7; --yellow: #ffd43b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1180px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
thead th { border-bottom: 1px solid var(--line); }
.faint, .note { color: var(--faint); } .scroll { overflow-x: auto; }
.figures { display: flex; flex-wrap: wrap; gap: 2rem; } .figures b { display: block; font-size: 1.7rem; }
.charts, .mistakes { display: flex; flex-wrap: wrap; gap: 1.2rem; }
figure { margin: 0; flex: 1 1 440px; max-width: 570px; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: var(--faint); font-size: 11px; } svg .grid { stroke: var(--line); }
.c0 { --c: var(--blue); } .c1 { --c: var(--orange); } .c2 { --c: var(--green); } .c3 { --c: var(--violet); }
.c4 { --c: var(--yellow); }
polyline { fill: none; stroke: var(--c); stroke-width: 1.8; } circle, rect { fill: var(--c); }
.key { margin-right: 1.2rem; display: inline-block; } .key::before { content: "\\25A0 "; color: var(--c); }
.matrix td, .matrix th { padding: .15rem .35rem; border: 1px solid var(--line); text-align: center; }
.matrix th.row { text-align: right; white-space: nowrap; font-weight: 400; }
.matrix th.col { writing-mode: vertical-rl; transform: rotate(180deg); font-weight: 400; white-space: nowrap;
  text-align: left; }
.mistake { width: 340px; overflow-wrap: anywhere; }
.mistake img { max-width: 100%; border-radius: 4px; display: block; }
"""


def write_page(path: Path, title: str, parts: Iterable[str]) -> None:
    """Write a page, whole or not at all.

    Args:
        path: of the file.
        title: plain text.
        parts: HTML, one below the other.

    Raises:
        OutputError: the file cannot be written.
    """
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{plain(title)}</title><style>{STYLE}</style></head>\n<body><h1>{plain(title)}</h1>\n"
        + "\n".join(part for part in parts if part)
        + f'\n<p class="faint">written by nlvid {__version__}</p></body></html>\n'
    )
    with open_whole(path) as stream:
        stream.write(page)


def plain(text: str) -> str:
    """Any text as HTML that shows it; what cannot be shown is replaced."""
    return escape(printable(text))
