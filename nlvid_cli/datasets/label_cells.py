"""Labels in the cells of a table: one or several, as text, as a list, or as a column of 0 and 1 for each class."""

from __future__ import annotations

import re

from nlvid_cli.datasets.table_rows import Cell

_LIST = re.compile(r"\[(.*)\]|\((.*)\)|\{(.*)\}", re.DOTALL)

_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s'",][^'",]*?))\s*(?:,|(?=\s*['"])|$)""")
"""An item of a list as Python, JSON and NumPy write it: ``'a', "b"``, ``'a' 'b'`` or ``a, b``."""

_CHOICES = re.compile(r'\{"choices":\s*(\[.*\])\}', re.DOTALL)
"""A cell with several choices in the CSV of Label Studio, beside cells with one."""

FLAGS = {
    **dict.fromkeys(("1", "1.0", "true", "yes"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", ""), False),
}
"""What a cell says about its class where each class has a column, in small letters."""


def listed(text: str) -> tuple[str, ...] | None:
    """Return the items of a list in a text, such as ``['a', 'b']``; None if the text is not one."""
    match = _LIST.fullmatch(_CHOICES.sub(r"\1", text.strip()))
    if match is None:
        return None
    inside = next(group for group in match.groups() if group is not None).strip()
    items: list[str] = []
    position = 0
    while position < len(inside):
        item = _ITEM.match(inside, position)
        if item is None or item.end() == position:
            return None
        items.append(re.sub(r"\\(.)", r"\1", item[1] or item[2] or item[3] or "").strip())
        position = item.end()
    return tuple(items)


def are_lists(cells: list[Cell]) -> bool:
    """Whether all cells that are texts hold lists of quoted items, as pandas writes them."""
    texts = [cell for cell in cells if isinstance(cell, str) and cell]
    if any(map(_CHOICES.fullmatch, texts)):
        return True
    return (
        bool(texts)
        and all(text[0] in "[{(" and ("'" in text or '"' in text or len(text) == 2) for text in texts)
        and (all(listed(text) is not None for text in texts))
    )


def separated(text: str, separators: str) -> tuple[str, ...]:
    """Return the labels of a cell, separated by any of these letters."""
    return tuple(label.strip() for label in re.split(f"[{re.escape(separators)}]", text) if label.strip())


def is_flag(cell: Cell) -> bool:
    """Whether a cell says yes or no about a class."""
    return isinstance(cell, str) and cell.casefold() in FLAGS


def without_point(label: str) -> str:
    """Return a whole number without the point that pandas writes behind it: ``1`` for ``1.0``."""
    return re.sub(r"^(\d+)\.0*$", r"\1", label)
