"""Templates of the manifest: entries share values in ``[templates]``, which their key ``like`` names.

``like`` is the name of a template or a list of names. Later templates override earlier ones, and the table with the key
overrides them all. Tables are merged key by key; any other value is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlvid_cli.errors import ModelFileError

Table = Mapping[str, Any]


def expand(table: Table, templates: Mapping[str, Table], where: str) -> dict[str, Any]:
    """Merge a table with its templates.

    Args:
        table: An entry, with or without ``like``.
        templates: Templates by name. They may be ``like`` others.
        where: File and entry, for messages.

    Raises:
        ModelFileError: A template does not exist, or templates form a circle.
    """
    return _expand(table, templates, where, ())


def _expand(table: Table, templates: Mapping[str, Table], where: str, above: tuple[str, ...]) -> dict[str, Any]:
    like = table.get("like", [])
    result: dict[str, Any] = {}
    for name in [like] if isinstance(like, str) else like:
        if name in above:
            raise ModelFileError(f"{where}: the template {name!r} is like itself ({' > '.join(above)} > {name})")
        if not isinstance(templates.get(name), Mapping):
            raise ModelFileError(f"{where}: unknown template {name!r}; known templates are {', '.join(templates)}")
        result = merge(result, _expand(templates[name], templates, where, (*above, name)))
    return merge(result, {key: value for key, value in table.items() if key != "like"})


def merge(below: Table, above: Table) -> dict[str, Any]:
    """Override ``below`` by ``above``: tables key by key, any other value as a whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
