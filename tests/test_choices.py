"""Where a choice has two places, such as a dict and the Literal of its names, both name the same."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest

from nlvid_cli.app import COMMANDS
from nlvid_cli.backends import BACKENDS, BackendName
from nlvid_cli.card.architecture import Architecture
from nlvid_cli.card.card import Labels, Source
from nlvid_cli.commands.train import RecipeName
from nlvid_cli.labelling.tables import TABLES
from nlvid_cli.models.store.sources import SOURCES
from nlvid_cli.network.build import ARCHITECTURES
from nlvid_cli.recognize.combine import COMBINE
from nlvid_cli.report.timeline import TIMELINE_RENDERERS
from nlvid_cli.training.recipe import RECIPES


def names_in(literal: Any) -> set[str]:
    """The strings of a Literal, also of one that may be None."""
    return {name for part in (literal, *get_args(literal)) for name in get_args(part) if isinstance(name, str)}


def choices(command: str, parameter: str) -> set[str]:
    """The values that an option takes."""
    return names_in(get_type_hints(COMMANDS[command])[parameter])


def kinds_of(union: Any) -> set[str]:
    """The kinds of a union of classes that differ in the field ``kind``."""
    return {kind for part in get_args(get_args(union)[0]) for kind in names_in(get_type_hints(part)["kind"])}


def test_parts_of_the_card() -> None:
    assert names_in(get_type_hints(Labels)["combine"]) == set(COMBINE)
    assert kinds_of(Architecture) == set(ARCHITECTURES)
    assert kinds_of(Source) == set(SOURCES)


@pytest.mark.parametrize("command", ["classify", "label", "evaluate"])
def test_backends(command: str) -> None:
    assert names_in(BackendName) == {"auto", *BACKENDS} == choices(command, "backend")


def test_tables_of_label() -> None:
    assert choices("label", "format_") == {"jsonl", *TABLES}


def test_formats_of_timeline() -> None:
    assert choices("timeline", "format_") == set(TIMELINE_RENDERERS)


def test_recipes() -> None:
    (option,) = RecipeName.__metadata__  # type: ignore[attr-defined]
    assert all(name in option.help for name in RECIPES)
