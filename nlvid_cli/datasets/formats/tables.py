"""Tables with a video and its labels a row: CSV, TSV, JSON, JSONL, lists of PySlowFast, TSN and UCF101."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nlvid_cli.datasets.formats.charades as charades
import nlvid_cli.datasets.formats.kinetics as kinetics
from nlvid_cli.datasets.class_files import find_class_names
from nlvid_cli.datasets.columns import Columns, find_columns, is_multi, labels_of, path_of, split_of, unused
from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.folder import FolderOrTable
from nlvid_cli.datasets.formats.locate import Locator, PathRules
from nlvid_cli.datasets.formats.stretches import are_cut
from nlvid_cli.datasets.label_cells import without_point
from nlvid_cli.datasets.labelled import Kind
from nlvid_cli.datasets.numbered_labels import decimal_value
from nlvid_cli.datasets.table_rows import SPLITS, Table, TableRow
from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.separated import FRAME_COUNT_COLUMNS
from nlvid_cli.inputs.times import seconds_of
from nlvid_cli.video.segment import Stretch


def is_table(place: FolderOrTable) -> bool:
    """Whether this is a table; asked after the more special forms."""
    return isinstance(place, Table)


def read_one_table(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read a table."""
    assert isinstance(place, Table)
    return name_numbers(read_rows(place, rules), class_folders(place, rules))


def read_any_table(table: Table, rules: PathRules, by_folder: bool = False) -> Entries:
    """Read a table in any form; the numbers in it have no names yet, see :func:`name_numbers`.

    Args:
        table: The table.
        rules: How to find its videos.
        by_folder: Whether the first folder of a path names the split.
    """
    if charades.is_charades(table):
        return charades.read_charades(table, rules)
    if kinetics.is_kinetics(table):
        return kinetics.read_kinetics(table, rules)
    return read_rows(table, rules, by_folder)


def read_rows(table: Table, rules: PathRules, by_folder: bool = False) -> Entries:
    """Read the rows of a table with a column of paths and one of labels."""
    columns = find_columns(table)
    columns = replace(columns, notes=(*columns.notes, *unused(columns, table)))
    if columns.stretch is not None and not _holds_times(table, columns):
        names = " and ".join(columns.stretch.names)
        note = f"{table.path}: the columns {names} hold no times, and are not used"
        columns = replace(columns, stretch=None, notes=(*columns.notes, note))
    locator = Locator(table.path, rules)
    entries: list[Entry] = []
    missing: dict[int, str] = {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # many rows have the same labels
    multi = is_multi(table, columns)
    for row in table.rows:
        written, labels, split = path_of(table, row, columns), labels_of(table, row, columns, multi), None
        if columns.split is not None:
            split = split_of(table, row, columns)
        elif by_folder:
            split = SPLITS.get(Path(written).parts[0].casefold())
        path = locator.find(written, (*labels, *((split,) if split else ())))
        if path is None:
            missing[row.line] = written
            continue
        entry = Entry(table.where(row), written, path, shared.setdefault(labels, labels), split)
        entries.append(_with_stretch(entry, table, row, columns))
    notes = (*table.notes, *columns.notes, *locator.check_missing(missing, len(table.rows)))
    if are_cut(entries):
        entries = [replace(entry, stretch=None) for entry in entries]
        notes += (f"{table.path}: the videos are no longer than their times, and are taken as already cut",)
    elif _are_whole(entries):
        entries = [replace(entry, stretch=None) for entry in entries]
        notes += (f"{table.path}: all numbers of frames begin at the first one, and the whole files are used",)
    kind: Kind = "multi" if multi else "single"
    return Entries(tuple(entries), _words(table), kind, notes=notes, passed_over=len(missing))


def class_folders(table: Table, rules: PathRules) -> tuple[Path, ...]:
    """Folders that may hold the names of the classes of a table."""
    named = [folder for folder in (rules.root, table.path.parent, rules.data) if folder is not None]
    return tuple(dict.fromkeys(named))


def name_numbers(found: Entries, folders: Sequence[Path]) -> Entries:
    """Look up the names of labels that are numbers in the class files of these folders, if all labels are numbers."""
    labels = {label for entry in found.entries for label in entry.labels}
    if found.class_names is not None or not labels:
        return found
    if any("." in label for label in labels) and all(decimal_value(without_point(label)) for label in labels):
        entries = (replace(one, labels=tuple(map(without_point, one.labels))) for one in found.entries)
        return name_numbers(replace(found, entries=tuple(entries)), folders)
    if not all(label.isdecimal() for label in labels):
        return found
    class_file = find_class_names(folders, labels)
    notes = () if class_file is None else class_file.notes
    return replace(
        found,
        entries=_in_one_spelling(found.entries),
        class_names=None if class_file is None else class_file.names,
        notes=(*found.notes, *notes),
    )


def _in_one_spelling(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Write each number as it was first written: ``2`` and ``02`` are one label."""
    spelt: dict[str | None, str] = {}

    def first(label: str) -> str:
        return spelt.setdefault(decimal_value(label), label)

    return tuple(replace(entry, labels=tuple(dict.fromkeys(map(first, entry.labels)))) for entry in entries)


def _holds_times(table: Table, columns: Columns) -> bool:
    assert columns.stretch is not None
    cells = [str(row.cells[columns.stretch.start]) for row in table.rows]
    return sum(seconds_of(cell) is not None for cell in cells) * 2 > len(cells)


def _with_stretch(entry: Entry, table: Table, row: TableRow, columns: Columns) -> Entry:
    if columns.stretch is None:
        return replace(entry, stretch=_first_frames(entry, table, row))
    return replace(entry, stretch=columns.stretch.stretch(row.cells, table.where(row)))


def _first_frames(entry: Entry, table: Table, row: TableRow) -> Stretch | None:
    """Return the frames of a folder of pictures that its row counts; None for a file, or if nothing counts them."""
    column = table.column(FRAME_COUNT_COLUMNS)
    if column is None or not entry.path.is_dir():
        return None
    cell = str(row.cells[column])
    if not cell.isdecimal() or int(cell) == 0:
        raise DataSetError(f"{table.where(row)}: {cell!r} is not a number of frames")
    return Stretch(end_frame=int(cell))


def _are_whole(entries: Sequence[Entry]) -> bool:
    """Whether stretches are those of files that were cut already (Diving48): each begins at frame 0 of its own file."""
    paths = {entry.path for entry in entries}
    return (
        bool(entries)
        and len(paths) == len(entries)
        and all(entry.stretch is not None and entry.stretch.start_frame == 0 for entry in entries)
    )


def _words(table: Table) -> str:
    if table.layout == "space-separated" and table.header is None:
        return "space-separated list (PySlowFast)"
    if not table.layout.endswith("-separated"):
        return table.layout
    return f"{table.layout} table, with {'a' if table.header else 'no'} header"
