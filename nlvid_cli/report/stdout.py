"""What a command prints: a value as JSON, or a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from rich.console import RenderableType

from nlvid_cli.report.console import PlainConsole
from nlvid_cli.system.terminal import print_lines


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print_lines(json.dumps(value, indent=2).split("\n"))


def print_json_or(as_json: bool, value: Callable[[], Any], table: Callable[[], RenderableType]) -> None:
    """Print what ``--json`` asks for.

    Args:
        as_json: Whether to print JSON.
        value: Makes the value to print as JSON.
        table: Makes what to print otherwise.
    """
    if as_json:
        print_json(value())
    else:
        PlainConsole(sys.stdout).print(table())
