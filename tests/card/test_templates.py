"""Templates of the manifest, and how they are merged."""

from __future__ import annotations

import pytest

from nlvid_cli.card.templates import expand
from nlvid_cli.errors import ModelFileError

TEMPLATES = {
    "base": {"sampling": {"frames": 8, "step": 8}, "blocks": [1, 2]},
    "longer": {"like": "base", "sampling": {"frames": 32}},
    "other": {"blocks": [3], "licence": "none"},
    "left": {"like": "right"},
    "right": {"like": ["base", "left"]},
}


def test_tables_are_merged_and_lists_are_replaced() -> None:
    entry = {"like": ["longer", "other"], "name": "a", "sampling": {"step": 2}}
    assert expand(entry, TEMPLATES, "test") == {
        "name": "a",
        "sampling": {"frames": 32, "step": 2},
        "blocks": [3],
        "licence": "none",
    }
    assert TEMPLATES["base"] == {"sampling": {"frames": 8, "step": 8}, "blocks": [1, 2]}


def test_without_like_nothing_changes() -> None:
    assert expand({"name": "a"}, TEMPLATES, "test") == {"name": "a"}


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ("bass", "manifest.toml, a: .*template 'bass'.*base, longer"),
        ("left", r"template 'left' .*\(left > right > left\)"),
    ],
)
def test_unknown_and_circular_templates(like: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        expand({"like": like}, TEMPLATES, "manifest.toml, a")
