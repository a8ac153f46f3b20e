"""Labels that are numbers: their value, their place among classes, and the files that name them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.text import parse_json, read_lines

CLASS_FILES = tuple(
    f"{name}.{suffix}"
    for name in ("classes", "class_names", "classnames", "kinetics_classnames", "labels", "label_map", "classInd")
    for suffix in ("json", "txt")
)
"""Files with class names beside a table; the first one found counts."""

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


def find_class_names(folders: Iterable[Path]) -> dict[str, str] | None:
    """Read the first class file in these folders; None if there is none.

    Returns:
        Names by number, in the order of the numbers.

    Raises:
        DataSetError: The file cannot be parsed.
    """
    for folder in folders:
        for name in CLASS_FILES:
            if (folder / name).is_file():
                return read_class_names(folder / name)
    return None


def read_class_names(path: Path) -> dict[str, str]:
    """Read a class file.

    Args:
        path: JSON with a list of names, an object of numbers by name, or one of names by number; or text with a name
            a line, counted from 0, or a number and a name a line.

    Returns:
        Names by number, in the order of the numbers.

    Raises:
        DataSetError: The file cannot be parsed, or has a number or a name twice.
    """
    pairs = _from_json(path) if path.suffix == ".json" else _from_text(path)
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
    if isinstance(data, list) and all(isinstance(name, str) for name in data):
        return list(enumerate(data))
    if isinstance(data, dict) and all(isinstance(number, int) for number in data.values()):
        return [(number, name.strip('"')) for name, number in data.items()]
    if isinstance(data, dict) and all(_NUMBER.fullmatch(n) and isinstance(name, str) for n, name in data.items()):
        return [(int(number), name) for number, name in data.items()]
    raise DataSetError(f"{path}: must be a list of names, or an object of numbers by name or of names by number")


def _from_text(path: Path) -> list[tuple[int, str]]:
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    for pattern, number, name in ((_NUMBER_FIRST, 1, 2), (_NUMBER_LAST, 2, 1)):
        matches = [pattern.fullmatch(line) for line in lines]
        found = [(int(match[number]), match[name]) for match in matches if match]
        if len(found) == len(lines) == len({number for number, _ in found}):
            return found
    return list(enumerate(lines))
