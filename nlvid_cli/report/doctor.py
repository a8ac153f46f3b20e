"""The facts of ``nlvid doctor`` as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

from nlvid_cli.report.table import plain_table


def facts_table(facts: Mapping[str, Any]) -> Table:
    """Return a row per fact; a fact is a text, a list of lines, or a dictionary of names and texts."""
    table = plain_table(show_header=False)
    for name, value in facts.items():
        table.add_row(name, Group(*_lines(value)))
    return table


def _lines(value: str | list[str] | dict[str, str]) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}: {text}" for name, text in value.items()]
    return [value] if isinstance(value, str) else value
