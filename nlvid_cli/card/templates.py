"""What several entries of the manifest share: ``[templates]``, and the key ``like`` that names them.

``like`` is the name of a template or a list of them. Later ones go over earlier ones, and the table that has the key
goes over all of them: tables are merged key by key, anything else is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlvid_cli.errors import ModelFileError

Table = Mapping[str, Any]


def expand(table: Table, templates: Mapping[str, Table], where: str) -> dict[str, Any]:
    """The table with all that it and its templates take over from others.

    Args:
        table: an entry, with or without ``like``.
        templates: by name; they may be ``like`` others.
        where: file and entry, for messages.

    Raises:
        ModelFileError: there is no such template, or templates start from each other in a circle.
    """
    return _expand(table, templates, where, ())


def _expand(table: Table, templates: Mapping[str, Table], where: str, above: tuple[str, ...]) -> dict[str, Any]:
    like = table.get("like", [])
    result: dict[str, Any] = {}
    for name in [like] if isinstance(like, str) else like:
        if name in above:
            raise ModelFileError(f"{where}: the template {name!r} starts from itself ({' > '.join(above)} > {name})")
        if not isinstance(templates.get(name), Mapping):
            raise ModelFileError(f"{where}: no template is called {name!r}; known are {', '.join(templates)}")
        result = merge(result, _expand(templates[name], templates, where, (*above, name)))
    return merge(result, {key: value for key, value in table.items() if key != "like"})


def merge(below: Table, above: Table) -> dict[str, Any]:
    """``above`` over ``below``: tables key by key, anything else as a whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
