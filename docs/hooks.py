"""Adjustments that MkDocs makes to each page."""

from __future__ import annotations

import re

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?(?:[\w.]+\.)?(\w+)</code>")
"""A cross-reference in a docstring, such as ``:func:`nlvid_cli.load```, as it arrives here in HTML."""


def on_page_content(html: str, **_: object) -> str:
    """Show cross-references in docstrings as plain code, and leave out the ``::`` before a block."""
    html = html.replace("<p>::</p>", "")
    return ROLE.sub(r"<code>\1</code>", html)
