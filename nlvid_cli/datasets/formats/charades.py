"""Charades: a CSV with the columns ``id`` and ``actions``, such as ``c092 11.90 21.20;c147 0.00 12.60``.

A video has any number of actions. Its file is ``ID.mp4`` beside the table or in the root, or in folders below these.
"""

from __future__ import annotations

import math

from nlvid_cli.card.manifest import weights_folder
from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.folder import Folder, FolderOrTable
from nlvid_cli.datasets.formats.locate import Locator, PathRules
from nlvid_cli.datasets.table import read_table
from nlvid_cli.datasets.table_rows import SPLITS, Table, TableRow
from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.text import read_lines

CHARADES_FILES = {"train": "Charades_v1_train.csv", "test": "Charades_v1_test.csv"}
"""Names of the published tables, by split."""


def is_charades(place: FolderOrTable) -> bool:
    """Whether this is a table with the columns of Charades, or a folder with its published tables."""
    if isinstance(place, Folder):
        return bool(set(CHARADES_FILES.values()) & set(place.files))
    return {"id", "actions"} <= set(place.header or ()) and any(_is_timed(place, row) for row in place.rows)


def read_charades(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read a Charades CSV, or the published tables in a folder."""
    if isinstance(place, Folder):
        tables = {split: read_table(place.path / n) for split, n in CHARADES_FILES.items() if n in place.files}
    else:
        words = place.path.stem.casefold().replace("-", "_").split("_")
        tables = {next((SPLITS[word] for word in words if word in SPLITS), ""): place}
    parts = [_read_table(table, split or None, rules) for split, table in tables.items()]
    entries = tuple(entry for found, _ in parts for entry in found)
    notes = tuple(note for _, about in parts for note in about)
    names = {f"c{number:03d}": name for number, name in enumerate(class_names())}
    return Entries(entries, "Charades CSV", "multi", names, fixed_classes=True, notes=notes)


def class_names() -> list[str]:
    """Return the names of the 157 classes, in the order of their numbers."""
    return read_lines(weights_folder() / "labels" / "charades157.txt")


def _read_table(table: Table, split: str | None, rules: PathRules) -> tuple[list[Entry], tuple[str, ...]]:
    column = table.column(("id",))
    if column is None or table.column(("actions",)) is None:
        raise DataSetError(f"{table.path}, line 1: a Charades CSV has the columns id and actions")
    locator = Locator(table.path, rules)
    entries: list[Entry] = []
    missing: dict[int, str] = {}
    for row in table.rows:
        name = str(row.cells[column])
        labels, times = _read_actions(table, row)
        path = locator.find_stem(name)
        if path is None:
            missing[row.line] = name
        else:
            entries.append(Entry(table.where(row), name, path, labels, split, label_times=times))
    return entries, locator.check_missing(missing, len(table.rows))


def _read_actions(table: Table, row: TableRow) -> tuple[tuple[str, ...], tuple[tuple[float, float], ...]]:
    """Codes and their times. An action that occurs several times in a video is there several times."""
    labels, times = [], []
    for action in filter(None, (part.strip() for part in _actions(table, row).split(";"))):
        try:
            code, start, end = action.split()
            times.append((float(start), float(end)))
            labels.append(code)
        except ValueError:
            raise DataSetError(
                f"{table.where(row)}: {action!r} is not a code and two times, such as c092 11.90 21.20"
            ) from None
        if not all(map(math.isfinite, times[-1])):
            raise DataSetError(f"{table.where(row)}: the times of {action!r} are not finite numbers")
    return tuple(labels), tuple(times)


def _is_timed(table: Table, row: TableRow) -> bool:
    words = _actions(table, row).split(";")[0].split()
    return len(words) == 3 and words[0][:1] == "c" and words[0][1:].isdecimal()


def _actions(table: Table, row: TableRow) -> str:
    column = table.column(("actions",))
    assert column is not None
    return str(row.cells[column])
