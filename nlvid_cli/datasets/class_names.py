"""Names of classes beside a table whose labels are numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.text import parse_json, read_lines

CLASS_FILES = tuple(
    f"{name}.{suffix}"
    for name in ("classes", "class_names", "classnames", "kinetics_classnames", "labels", "label_map", "classInd")
    for suffix in ("json", "txt")
)
"""Files that are looked for beside a table, the first that is there counts."""

_NUMBER = re.compile(r"\d{1,18}")
_NUMBER_FIRST = re.compile(r"(\d{1,18})[\s,;:]+(\S.*)")
_NUMBER_LAST = re.compile(r"(.*\S)[\s,;:]+(\d{1,18})")


def find_class_names(folders: Iterable[Path]) -> dict[str, str] | None:
    """Names by number, from the first class file in one of the folders, in the order of the numbers.

    Raises:
        DataSetError: the file is not understood.
    """
    for folder in folders:
        for name in CLASS_FILES:
            if (folder / name).is_file():
                return read_class_names(folder / name)
    return None


def read_class_names(path: Path) -> dict[str, str]:
    """Names by number.

    Args:
        path: JSON: a list of names, or an object of numbers by name or names by number; else text: a name a line,
            counted from 0, or a number and a name a line.

    Raises:
        DataSetError: the file is not understood, or gives a number twice.
    """
    pairs = _from_json(path) if path.suffix == ".json" else _from_text(path)
    names: dict[int, str] = {}
    for number, name in pairs:
        if number in names:
            raise DataSetError(f"{path}: the number {number} stands for both {names[number]!r} and {name!r}")
        names[number] = name
    if len(set(names.values())) < len(names):
        raise DataSetError(f"{path}: a name of a class stands there twice")
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
