"""Tables of labelled videos: separated text with a header or without, and JSON Lines.

The separator and the header are found by trying: with the right separator the first row names known columns, or most
rows have as many cells as the first, one of which looks like a video. Whatever then does not fit is an error at its
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.separated import (
    PATH_COLUMNS,
    SEPARATORS,
    TextRow,
    column_name,
    find_column,
    first_row,
    is_header,
    parse_rows,
    shown_line,
    split_after_video,
)
from nlvid_cli.inputs.text import parse_json, read_text, split_lines
from nlvid_cli.video.suffixes import is_video_name

LABELS_COLUMNS = ("labels", "classes", "categories", "actions", "tags")
"""Header names of a column in which a cell may hold several labels, separated by | or ;."""

LABEL_COLUMNS = (
    *("label_name", "class_name", "action_name", "category_name"),
    *("label", "class", "category", "action", "activity", "target", *LABELS_COLUMNS),
    *("label_id", "class_id", "label_index", "class_index", "action_id"),
)
"""Header names of the column of labels, best first."""

SPLIT_COLUMNS = ("split", "subset", "partition", "set", "usage")
"""Header names of the column that says train, val or test."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names that people give to the parts of a data set."""

MAX_TABLE_BYTES = 1 << 30
"""Far larger than any table of labelled videos: Kinetics-700 has 30 MB."""

COMPARED_ROWS = 1000
"""Rows that are tried with each separator."""

_FIRST_LINE = re.compile(r"\S[^\r\n]*")

_OTHER_COLUMNS = ("time_start", "time_end", "start", "end", "subject", "scene", "length")

_KNOWN_COLUMNS = frozenset((*PATH_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS, *_OTHER_COLUMNS))

_SEPARATORS = (*SEPARATORS, "space")
"""A space separates a path from a label, as in the lists of PySlowFast."""

Cell = str | tuple[str, ...]
"""A text, or the texts of a JSON list."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """Cells of a row, without the blanks around them, and the line of the file where it begins."""

    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows of one file.

    Attributes:
        path: Path to the file.
        layout: How it is written, in words, such as "comma-separated".
        header: Names of the columns in small letters, with ``_`` for blanks and dashes; None if there is no header.
        rows: Rows, all with as many cells as the header has names.
    """

    path: Path
    layout: str
    header: tuple[str, ...] | None
    rows: tuple[TableRow, ...]

    def column(self, names: Iterable[str]) -> int | None:
        """Return the index of the column with the first of these names that the header has."""
        return None if self.header is None else find_column(self.header, names)

    def where(self, row: TableRow) -> str:
        """Return the file and the line of a row, for messages."""
        return f"{self.path}, line {row.line}"


def read_table(path: Path) -> Table:
    """Read a table with any separator, with a header or without.

    Args:
        path: Text file with a row a line, or a JSON object a line.

    Raises:
        DataSetError: The file is not text, is empty, or has rows that do not fit the others; names the line.
    """
    if is_video_name(path.name):
        raise DataSetError(f"{path}: a video, not a data set (name a folder of classes, or a CSV, TSV or JSONL file)")
    text = read_text(path, max_bytes=MAX_TABLE_BYTES)
    found = _FIRST_LINE.search(text)
    if found is None:
        raise DataSetError(f"{path}: the file is empty")
    first = found[0].strip()
    if first.startswith("{"):
        return _json_table(path, split_lines(text))
    if first == "[" or first.startswith("[{") or path.suffix == ".json":
        raise DataSetError(f"{path}: one JSON document; write an object a line instead (JSONL)")
    return _separated_table(path, text)


def _json_table(path: Path, lines: list[str]) -> Table:
    objects = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        value = parse_json(line, where)
        if not isinstance(value, dict):
            raise DataSetError(f'{where}: not a JSON object such as {{"path": "clips/a.mp4", "label": "run"}}')
        objects.append((number, {column_name(key): _cell(item, where, key) for key, item in value.items()}))
    header = tuple(dict.fromkeys(key for _, cells in objects for key in cells))
    rows = tuple(TableRow(number, tuple(cells.get(key, "") for key in header)) for number, cells in objects)
    return Table(path, "JSONL", header, rows)


def _cell(value: Any, where: str, key: str) -> Cell:
    if isinstance(value, list):
        return tuple(_text(item, where, key) for item in value)
    return "" if value is None else _text(value, where, key)


def _text(value: Any, where: str, key: str) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, dict | list | bool) and key.lower() not in _KNOWN_COLUMNS:
        return ""  # nobody reads this column
    raise DataSetError(f"{where}: {key!r} must be a text, a number or a list of these")


def _separated_table(path: Path, text: str) -> Table:
    separator = _find_separator(path, text)
    rows = _space_rows(text) if separator == "space" else parse_rows(text, separator, str(path))
    first, *rest = rows
    header = tuple(map(column_name, first.cells)) if is_header(first.cells, _KNOWN_COLUMNS) else None
    if header:
        repeated = next((column for column in header if column and header.count(column) > 1), None)
        if repeated:
            raise DataSetError(f"{path}, line {first.line}: two columns are called {repeated!r}")
        if not rest:
            raise DataSetError(f"{path}: a header and nothing below it")
    elif _is_unknown_header(rows):
        raise DataSetError(
            f"{path}, line {first.line}: looks like a header, but no name in it is known ({', '.join(first.cells)}); "
            "call the columns path and label"
        )
    _check_widths(path, rows, header, separator)
    below = tuple(TableRow(row.line, row.cells) for row in (rest if header else rows))
    return Table(path, f"{separator}-separated", header, below)


def _find_separator(path: Path, text: str) -> str:
    """Return the separator under which the first row is a header, or under which most rows hold a video and more."""
    lines = [line for line in split_lines(text) if line.strip()]
    known = {name: _known_columns(_cells_of(lines[0], name)) for name in _SEPARATORS}
    candidates = [name for name in _SEPARATORS if known[name] >= 2]
    if candidates:
        # Names of columns may hold spaces, so that any other separator is more likely.
        return max(
            (name for name in candidates if name != "space" or len(candidates) == 1), key=lambda name: known[name]
        )
    fits = {name: _fitting_share(lines[:COMPARED_ROWS], name) for name in _SEPARATORS}
    if max(fits.values()) >= 0.5:
        return max(fits, key=lambda name: fits[name])
    if sum(is_video_name(line.strip(" \"'")) for line in lines) * 2 >= len(lines):
        raise DataSetError(f"{path}: holds paths and no labels; write both into each line, such as clips/a.mp4,run")
    raise DataSetError(
        f"{path}: cannot tell paths from labels in {shown_line(lines[0])!r}; write lines such as clips/a.mp4,run "
        f"(separators: {', '.join(_SEPARATORS)}), or a header such as path,label first"
    )


def _known_columns(cells: tuple[str, ...]) -> int:
    """Number of known names in a row, if it is a header."""
    return sum(column_name(cell) in _KNOWN_COLUMNS for cell in cells) if is_header(cells, _KNOWN_COLUMNS) else 0


def _fitting_share(lines: list[str], separator: str) -> float:
    """Share of the lines that have the commonest number of cells, two or more, and a video in one of them."""
    rows = [cells for line in lines if (cells := _cells_of(line, separator))]
    widths = [len(cells) for cells in rows]
    width = max(set(widths), key=widths.count, default=0)
    fitting = [cells for cells in rows if len(cells) == width and any(map(is_video_name, cells))]
    return len(fitting) / len(rows) if width >= 2 else 0.0


def _cells_of(line: str, separator: str) -> tuple[str, ...]:
    """Cells of a line by itself, whatever its quotes."""
    return _split_at_space(line) if separator == "space" else first_row(line, separator)


def _space_rows(text: str) -> list[TextRow]:
    lines = enumerate(split_lines(text), start=1)
    return [TextRow(number, _split_at_space(line)) for number, line in lines if line.strip()]


def _split_at_space(line: str) -> tuple[str, ...]:
    """Split a line into a path, which may hold spaces, and the rest; a header into all its names."""
    pair = split_after_video(line)
    if pair:
        return (pair[0], pair[1].strip('"'))
    words = tuple(line.split())
    return words if is_header(words, _KNOWN_COLUMNS) else tuple(line.rsplit(maxsplit=1))


def _is_unknown_header(rows: list[TextRow]) -> bool:
    """Whether the first row is the only one without a video."""
    holds = [any(map(is_video_name, row.cells)) for row in rows]
    return len(rows) > 1 and not holds[0] and all(holds[1:])


def _check_widths(path: Path, rows: list[TextRow], header: tuple[str, ...] | None, separator: str) -> None:
    widths = [len(row.cells) for row in rows]
    expected = len(header) if header else max(widths, key=widths.count)
    for row in rows:
        if len(row.cells) != expected:
            columns = "1 column" if len(row.cells) == 1 else f"{len(row.cells)} columns"
            raise DataSetError(
                f"{path}, line {row.line}: {columns} where {expected} are expected, with {separator} as separator "
                f"(another separator in this line? a {separator} within a name needs quotes around it)"
            )
