"""What a command prints: a value as JSON, or a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from rich.console import RenderableType

from nlvid_cli.report.table import console_for


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2))


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
        console_for(sys.stdout).print(table())
