"""Tables in text files: found separators, a header or none, rows with their line numbers.

Separators and headers are found by trying: with the right separator the first row holds names of columns that nlvid
knows, or most rows have as many columns as the first, one of which looks like videos. Whatever then does not fit is an
error at its line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.text import parse_json, read_lines
from nlvid_cli.video.suffixes import VIDEO_SUFFIXES, is_video_name

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
"""By name, in the order in which they are tried."""

PATH_COLUMNS = (
    *("path", "video_path", "file_path", "filepath", "clip_path", "file_name", "filename", "file", "video_file"),
    *("video", "videos", "clip", "video_name", "clip_name", "video_id", "youtube_id", "clip_id", "id", "name"),
)
"""Header names of the column that holds the videos; the first that is there counts."""

LABELS_COLUMNS = ("labels", "classes", "categories", "actions", "tags")
"""Header names of a column in which one cell may hold several labels, separated by | or ;."""

LABEL_COLUMNS = (
    *("label_name", "class_name", "action_name", "category_name"),
    *("label", "class", "category", "action", "activity", "target", *LABELS_COLUMNS),
    *("label_id", "class_id", "label_index", "class_index", "action_id"),
)
"""Header names of the column that holds the labels; the first that is there counts."""

SPLIT_COLUMNS = ("split", "subset", "partition", "set", "usage")
"""Header names of the column that says train, val or test."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What people call the parts of a data set."""

_OTHER_COLUMNS = ("time_start", "time_end", "start", "end", "subject", "scene", "length")

_KNOWN_COLUMNS = frozenset((*PATH_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS, *_OTHER_COLUMNS))

_QUOTED_OR_VIDEO = re.compile(
    rf"""(?:"([^"]+)"|(.*(?:{"|".join(map(re.escape, VIDEO_SUFFIXES))})))\s+(.+)""", re.IGNORECASE
)
"""A path in quotes, or up to the last suffix of a video; then the label. Both may hold blanks."""

Cell = str | tuple[str, ...]
"""A text, or the several texts of a JSON list."""


@dataclass(frozen=True)
class Row:
    """Cells of a row, without the blanks around them, and the line of the file where it begins."""

    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows of one file.

    Attributes:
        path: of the file.
        layout: how it is written, in words: "comma-separated".
        header: names of the columns in small letters, with ``_`` for blanks and dashes; None: there is no header.
        rows: all with as many cells as the header has names.
    """

    path: Path
    layout: str
    header: tuple[str, ...] | None
    rows: tuple[Row, ...]

    def column(self, names: Iterable[str]) -> int | None:
        """Index of the first of the names that the header has."""
        return next((self.header.index(name) for name in names if name in self.header), None) if self.header else None

    def where(self, row: Row) -> str:
        """The place of a row, for messages."""
        return f"{self.path}, line {row.line}"


class _QuotesError(ValueError):
    """A row that begins in line ``args[0]`` has quotes that do not match, or something as bad, told in ``args[1]``."""


def read_table(path: Path) -> Table:
    """Read a table, whatever its separator, with a header or without.

    Args:
        path: of a text file with a row in each line, or with a JSON object in each line.

    Raises:
        DataSetError: not a text file, empty, or with rows that do not fit the others; names the line.
    """
    if is_video_name(path.name):
        raise DataSetError(f"{path}: a video, not a data set (name a folder of classes, or a CSV, TSV or JSONL file)")
    lines = read_lines(path)
    first = next((text.strip() for text in lines if text.strip()), "")
    if not first:
        raise DataSetError(f"{path}: the file is empty")
    if first.startswith("{"):
        return _json_table(path, lines)
    if first == "[" or first.startswith("[{") or path.suffix == ".json":
        raise DataSetError(f"{path}: one JSON document; write one object a line instead (JSONL)")
    return _separated_table(path, lines)


def _json_table(path: Path, lines: list[str]) -> Table:
    objects = []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        value = parse_json(text, where)
        if not isinstance(value, dict):
            raise DataSetError(f'{where}: not a JSON object such as {{"path": "clips/a.mp4", "label": "run"}}')
        objects.append((number, {column_name(key): _cell(item, where, key) for key, item in value.items()}))
    header = tuple(dict.fromkeys(key for _, cells in objects for key in cells))
    rows = tuple(Row(number, tuple(cells.get(key, "") for key in header)) for number, cells in objects)
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
    return "" if isinstance(value, dict | list | bool) and key.lower() not in _KNOWN_COLUMNS else _refuse(where, key)


def _refuse(where: str, key: str) -> str:
    raise DataSetError(f"{where}: {key!r} must be a text, a number or a list of these")


def _separated_table(path: Path, lines: list[str]) -> Table:
    name = _find_separator(path, lines)
    try:
        rows = _parse(lines, name)
    except _QuotesError as error:
        raise DataSetError(
            f"{path}, line {error.args[0]}: the quotes of this row do not match (write a quote within quotes twice)"
        ) from None
    header = tuple(map(column_name, _texts(rows[0]))) if is_header(rows[0]) else None
    if header:
        for column in header:
            if column and header.count(column) > 1:
                raise DataSetError(f"{path}, line {rows[0].line}: two columns are called {column!r}")
    elif _is_unknown_header(rows):
        raise DataSetError(
            f"{path}, line {rows[0].line}: looks like a header, but none of its names "
            f"({', '.join(_texts(rows[0]))}) is known; call the columns path and label"
        )
    _check_widths(path, rows, name)
    rest = rows[1:] if header else rows
    if not rest:
        raise DataSetError(f"{path}: a header and nothing below it")
    return Table(path, f"{name}-separated", header, tuple(rest))


def _find_separator(path: Path, lines: list[str]) -> str:
    """The separator under which the first line is a header, or under which most rows hold a video and more."""
    lines = [line for line in lines if line.strip()]
    known = {name: _known_columns(lines[0], name) for name in SEPARATORS}
    candidates = [name for name in SEPARATORS if known[name] >= 2]
    if candidates:
        return max(
            (name for name in candidates if name != "space" or len(candidates) == 1), key=lambda name: known[name]
        )
    fits = {name: _fitting_rows(lines[:1000], name) for name in SEPARATORS}
    if max(fits.values()) >= 0.5:
        return max(fits, key=lambda name: fits[name])
    if sum(is_video_name(text.strip(" \"'")) for text in lines) * 2 >= len(lines):
        raise DataSetError(f"{path}: holds paths and no labels; write both into each line, such as clips/a.mp4,run")
    raise DataSetError(
        f"{path}: cannot tell paths from labels in {_shortened(lines[0])!r}; write lines such as "
        f"clips/a.mp4,run (separators: {', '.join(SEPARATORS)}), or a header such as path,label first"
    )


def _known_columns(line: str, name: str) -> int:
    """How many names of columns a line holds, if it is a header under this separator."""
    row = Row(1, _split_line(line, name))
    return sum(column_name(text) in _KNOWN_COLUMNS for text in _texts(row)) if is_header(row) else 0


def _fitting_rows(lines: list[str], name: str) -> float:
    """Share of the lines that have the commonest number of columns, at least two, and a video in one of them."""
    rows = [_split_line(line, name) for line in lines]
    widths = [len(cells) for cells in rows]
    width = max(set(widths), key=widths.count)
    fitting = [cells for cells in rows if len(cells) == width and any(map(is_video_name, cells))]
    return len(fitting) / len(rows) if width >= 2 else 0.0


def _split_line(line: str, name: str) -> tuple[str, ...]:
    """Cells of a line by itself, whatever its quotes."""
    if name == "space":
        return _split_at_space(line)
    reader = csv.reader([line], delimiter=SEPARATORS[name], skipinitialspace=name != "tab")
    try:
        return tuple(cell.strip() for cell in next(reader))
    except csv.Error:  # a cell that is longer than any text
        return ()


def is_header(row: Row) -> bool:
    """Whether a row holds a name of a column that nlvid knows, and no video."""
    texts = _texts(row)
    return any(column_name(text) in _KNOWN_COLUMNS for text in texts) and not any(map(is_video_name, texts))


def _is_unknown_header(rows: list[Row]) -> bool:
    """Whether the first row alone holds no video."""
    holds = [any(map(is_video_name, _texts(row))) for row in rows]
    return len(rows) > 1 and not holds[0] and all(holds[1:])


def _check_widths(path: Path, rows: list[Row], name: str) -> None:
    widths = [len(row.cells) for row in rows]
    expected = widths[0] if is_header(rows[0]) else max(widths, key=widths.count)
    for row in rows:
        if len(row.cells) != expected:
            raise DataSetError(
                f"{path}, line {row.line}: {_columns(len(row.cells))} where {expected} are expected, with {name} as "
                f"separator (another separator in this line? a {name} within a name needs quotes around it)"
            )


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _parse(lines: list[str], name: str) -> list[Row]:
    """Rows under a separator; those without any content are left out.

    Raises:
        QuotesError: quotes do not match.
    """
    if name == "space":
        rows = [Row(number, _split_at_space(text)) for number, text in enumerate(lines, start=1)]
    else:
        rows = list(_parse_csv(lines, name))
    return [row for row in rows if any(row.cells)]


def _parse_csv(lines: list[str], name: str) -> Iterator[Row]:
    reader = csv.reader(
        (line + "\n" for line in lines), delimiter=SEPARATORS[name], skipinitialspace=name != "tab", strict=True
    )
    while True:
        line = reader.line_num + 1
        try:
            yield Row(line, tuple(cell.strip() for cell in next(reader)))
        except StopIteration:
            return
        except csv.Error as error:
            raise _QuotesError(line, str(error)) from None


def _split_at_space(text: str) -> tuple[str, ...]:
    """A path, which may hold spaces, and the rest of the line; names of columns one by one."""
    match = _QUOTED_OR_VIDEO.fullmatch(text.strip())
    if match:
        return (match[1] or match[2], match[3].strip('"'))
    words = tuple(text.split())
    return words if is_header(Row(0, words)) else tuple(text.rsplit(maxsplit=1))


def _texts(row: Row) -> list[str]:
    return [cell for cell in row.cells if isinstance(cell, str)]


def column_name(text: str) -> str:
    """A name from a header in small letters, with ``_`` for blanks and dashes, and without a leading ``#``."""
    return re.sub(r"[\s-]+", "_", text.strip().strip("#").strip()).casefold()


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
