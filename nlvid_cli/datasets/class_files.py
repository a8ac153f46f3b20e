"""Files beside a table that name the classes whose numbers are in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.datasets.numbered_labels import decimal_value, read_class_names
from nlvid_cli.errors import DataSetError
from nlvid_cli.video.suffixes import VIDEO_SUFFIXES

CLASS_FILES = tuple(
    f"{name}.{suffix}"
    for name in ("classes", "class_names", "classnames", "kinetics_classnames", "labels", "label_map", "classInd")
    for suffix in ("json", "txt")
)
"""Names of class files; of those in a folder the first one counts."""

SUFFIXES = (".json", ".txt", ".csv", ".tsv")

MAX_BYTES = 1 << 20
"""Far larger than any list of classes."""

_WORDS = frozenset((
    *("class", "classes", "classnames", "classind", "classids", "classlist", "names", "label", "labels", "labelmap"),
    *("labelnames", "categories", "category", "vocab", "vocabulary", "actions", "id2label", "label2id", "mapping"),
))  # fmt: skip
"""Words of which one is in the name of any other class file: ``hmdb51_label_map.txt``, ``Diving48_vocab.json``."""


_VIDEO = re.compile(rf"(?:{'|'.join(map(re.escape, VIDEO_SUFFIXES))})(?![\w.])", re.IGNORECASE)


@dataclass(frozen=True)
class ClassFile:
    """Names of classes.

    Attributes:
        names: Names by number, in the order of the numbers.
        notes: Which file was taken, where its name alone does not say so.
    """

    names: dict[str, str]
    notes: tuple[str, ...] = ()


def find_class_names(folders: Iterable[Path], labels: Iterable[str]) -> ClassFile | None:
    """Read the class file in these folders; None if there is none.

    Args:
        folders: Folders to search, in this order.
        labels: Numbers that the file must name, if it is not one of :data:`CLASS_FILES`.

    Raises:
        DataSetError: The file cannot be parsed, or two files name the classes differently.
    """
    numbers = {decimal_value(label) for label in labels}
    for folder in folders:
        for name in CLASS_FILES:
            if (folder / name).is_file():
                return ClassFile(read_class_names(folder / name))
        others = {path: names for path, names in _others(folder) if numbers <= set(names)}
        if others:
            path, names = next(iter(others.items()))
            other = next((other for other, theirs in others.items() if theirs != names), None)
            if other is not None:
                raise DataSetError(
                    f"{path} names the classes {_example(names)}, and {other} {_example(others[other])}; "
                    "rename the right one to classes.txt or classes.json"
                )
            return ClassFile(names, (f"the names of the classes are those of {path}",))
    return None


def is_class_file(name: str) -> bool:
    """Whether a file of this name may hold the names of classes."""
    stem, _, suffix = name.lower().rpartition(".")
    return suffix == "names" or (f".{suffix}" in SUFFIXES and bool(_WORDS & set(re.split(r"[^a-z0-9]+|\d{2,}", stem))))


def _others(folder: Path) -> Iterable[tuple[Path, dict[str, str]]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_class_file(path.name) and path.is_file() and path.stat().st_size <= MAX_BYTES:
            try:
                names = read_class_names(path)
            except DataSetError:  # a table of videos, for example
                continue
            if not any(_VIDEO.search(name) for name in names.values()):
                yield path, names


def _example(names: dict[str, str]) -> str:
    return ", ".join(f"{number} {name!r}" for number, name in list(names.items())[:2])
