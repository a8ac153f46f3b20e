"""Kinetics: a CSV with the columns ``label,youtube_id,time_start,time_end,split``.

The video of a row is ``ID_000010_000020.mp4`` (already cut, from second 10 to 20 of the original) or ``ID.mp4``, beside
the table or in the root, or in folders of splits and labels below these.
"""

from __future__ import annotations

from dataclasses import replace

from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.folder import FolderOrTable
from nlvid_cli.datasets.formats.locate import Locator, PathRules
from nlvid_cli.datasets.formats.stretches import are_cut
from nlvid_cli.datasets.table_rows import LABEL_COLUMNS, SPLIT_COLUMNS, SPLITS, Table, TableRow
from nlvid_cli.errors import DataSetError, Unlabelled
from nlvid_cli.inputs.times import TIME_FORMS, seconds_of
from nlvid_cli.video.segment import Stretch


def is_kinetics(place: FolderOrTable) -> bool:
    """Whether this is a table with the columns of Kinetics."""
    return isinstance(place, Table) and {"youtube_id", "time_start", "time_end"} <= set(place.header or ())


def read_kinetics(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read a Kinetics CSV."""
    assert isinstance(place, Table)
    label = place.column(LABEL_COLUMNS)
    if label is None:
        raise Unlabelled(f"{place.path}, line 1: no column of labels (the test lists of Kinetics have none)")
    locator = Locator(place.path, rules)
    entries: list[Entry] = []
    missing: dict[int, str] = {}
    for row in place.rows:
        entry = _read_row(place, row, label, locator)
        if entry is None:
            missing[row.line] = _text(place, row, "youtube_id")
        else:
            entries.append(entry)
    notes = locator.check_missing(missing, len(place.rows))
    if are_cut(entries):
        entries = [replace(entry, stretch=None) for entry in entries]
    return Entries(tuple(entries), "Kinetics CSV", notes=notes, passed_over=len(missing))


def _read_row(table: Table, row: TableRow, label: int, locator: Locator) -> Entry | None:
    name, start, end = (
        _text(table, row, "youtube_id"),
        _seconds(table, row, "time_start"),
        _seconds(table, row, "time_end"),
    )
    if end <= start:
        raise DataSetError(f"{table.where(row)}: time_end ({end:g} s) is not after time_start ({start:g} s)")
    action = str(row.cells[label])
    column = table.column(SPLIT_COLUMNS)
    written_split = "" if column is None else str(row.cells[column])
    parents = (action, action.replace(" ", "_"), written_split)
    split = SPLITS.get(written_split.casefold())
    path = locator.find_stem(f"{name}_{start:06.0f}_{end:06.0f}", parents)
    if path is not None:
        return Entry(table.where(row), name, path, (action,), split)
    path = locator.find_stem(name, parents)
    return None if path is None else Entry(table.where(row), name, path, (action,), split, Stretch(start, end))


def _text(table: Table, row: TableRow, name: str) -> str:
    column = table.column((name,))
    assert column is not None
    return str(row.cells[column])


def _seconds(table: Table, row: TableRow, name: str) -> float:
    text = _text(table, row, name)
    seconds = seconds_of(text)
    if seconds is None:
        raise DataSetError(f"{table.where(row)}: {name} must be a time such as {TIME_FORMS}, not {text!r}")
    return seconds
