"""Labels that are numbers: their value, their place among classes, and the files that name them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.separated import SEPARATORS, column_name, first_row, parse_rows
from nlvid_cli.inputs.text import parse_json, read_lines, read_text

_TITLES = (
    "display_name",
    "class_name",
    "label_name",
    "name",
    "names",
    "label",
    "labels",
    "class",
    "category",
    "action",
)
"""Header names of a column of names, best first."""

_NUMBERS = ("id", "index", "number", "nr", "class_id", "label_id", "classid", "idx")
"""Header names of a column of numbers."""

_NUMBER = re.compile(r"\d{1,18}")
_NUMBER_FIRST = re.compile(r"(\d{1,18})[\s,;:]+(\S.*)")
_NUMBER_LAST = re.compile(r"(.*\S)[\s,;:]+(\d{1,18})")


def decimal_value(text: str) -> str | None:
    """Return the digits of a whole number without leading zeros; None if the text is not a whole number."""
    if not text.isdecimal():
        return None
    # As text: a cell may hold thousands of digits, more than Python converts to a number.
    return "".join(str(unicodedata.decimal(digit)) for digit in text).lstrip("0") or "0"


def indices_by_value(names: Sequence[str]) -> Mapping[str, int]:
    """Map the value of each name that is a whole number to its index; leave out values that several names share."""
    values = [decimal_value(name) for name in names]
    counts = Counter(values)
    return {value: index for index, value in enumerate(values) if value is not None and counts[value] == 1}


def class_index(name: str, classes: Sequence[str]) -> int | None:
    """Return a name as an index of a class; None if it is not a number, or is out of range.

    Where all classes have numbers as names, a number is a name and not an index.
    """
    value = decimal_value(name)
    if value is None or len(value) > len(str(len(classes))) or all(one.isdecimal() for one in classes):
        return None
    return int(value) if int(value) < len(classes) else None


def decimal_order(name: str) -> tuple[int, int, str, str]:
    """Sort key that puts numbers in order of value, before all other names."""
    value = decimal_value(name)
    return (1, 0, "", name) if value is None else (0, len(value), value, name)


def read_class_names(path: Path) -> dict[str, str]:
    """Read a class file.

    Args:
        path: JSON with a list of names, an object of numbers by name, or one of names by number; a CSV or TSV with a
            column of names, and one of numbers; or text with a name a line, counted from 0, or a number and a name a
            line.

    Returns:
        Names by number, in the order of the numbers.

    Raises:
        DataSetError: The file cannot be parsed, or has a number or a name twice.
    """
    read = {".json": _from_json, ".csv": _from_columns, ".tsv": _from_columns}.get(path.suffix.lower(), _from_text)
    pairs = read(path)
    names: dict[int, str] = {}
    for number, name in pairs:
        if number in names:
            raise DataSetError(f"{path}: number {number} has two names, {names[number]!r} and {name!r}")
        names[number] = name
    if len(set(names.values())) < len(names):
        raise DataSetError(f"{path}: a class name occurs twice")
    return {str(number): names[number] for number in sorted(names)}


def _from_json(path: Path) -> list[tuple[int, str]]:
    data = parse_json("\n".join(read_lines(path)), str(path))
    if isinstance(data, dict) and isinstance(data.get("id2label"), dict):  # the configuration of a model
        data = data["id2label"]
    if isinstance(data, list) and all(isinstance(name, str) for name in data):
        return list(enumerate(data))
    if isinstance(data, list) and all(_is_list_of_texts(parts) for parts in data):  # Diving48: the parts of a dive
        return [(number, " ".join(parts)) for number, parts in enumerate(data)]
    if isinstance(data, dict) and all(isinstance(number, int) for number in data.values()):
        return [(number, name.strip('"')) for name, number in data.items()]
    if isinstance(data, dict) and all(_NUMBER.fullmatch(n) and isinstance(name, str) for n, name in data.items()):
        return [(int(number), name) for number, name in data.items()]
    if isinstance(data, dict) and all(isinstance(n, str) and _NUMBER.fullmatch(n) for n in data.values()):
        return [(int(number), name) for name, number in data.items()]  # Something-Something
    raise DataSetError(f"{path}: must be a list of names, or an object of numbers by name or of names by number")


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, str) for part in value)


def _from_columns(path: Path) -> list[tuple[int, str]]:
    """Read a column of names, with the column of numbers beside it if there is one."""
    text = read_text(path)
    separator = max(SEPARATORS, key=lambda name: len(first_row(text, name)))
    rows = [row.cells for row in parse_rows(text, separator, str(path))]
    if {len(cells) for cells in rows} == {1}:
        names = [cells[0] for cells in rows]
        return list(enumerate(names[1:] if column_name(names[0]) in _TITLES else names))
    if not (_number_column(rows[:1]) is not None or all(map(str.isdecimal, rows[0]))):
        header, rows = [column_name(cell) for cell in rows[0]], rows[1:]
    else:
        header = []
    number = _number_column(rows)
    name = next((header.index(title) for title in _TITLES if title in header and header.index(title) != number), None)
    if name is None and number is not None and len(rows[0]) == 2:
        name = 1 - number
    if number is None or name is None or any(len(cells) <= max(number, name) for cells in rows):
        raise DataSetError(f"{path}: must have a column of names, and one of numbers, such as id,name")
    return [(int(cells[number]), cells[name]) for cells in rows]


def _number_column(rows: Sequence[Sequence[str]]) -> int | None:
    """The first column that holds a different number in each row."""
    for column in range(min(map(len, rows), default=0)):
        cells = [cells[column] for cells in rows]
        if all(map(_NUMBER.fullmatch, cells)) and len(set(cells)) == len(cells):
            return column
    return None


def _from_text(path: Path) -> list[tuple[int, str]]:
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    if len(lines) > 1 and {column_name(word) for word in re.split(r"[\s,;:]+", lines[0])} <= {*_TITLES, *_NUMBERS}:
        lines = lines[1:]
    for pattern, number, name in ((_NUMBER_FIRST, 1, 2), (_NUMBER_LAST, 2, 1)):
        matches = [pattern.fullmatch(line) for line in lines]
        found = [(int(match[number]), match[name]) for match in matches if match]
        if len(found) == len(lines) == len(dict(found)) == len({name for _, name in found}):
            return found
    return list(enumerate(lines))
