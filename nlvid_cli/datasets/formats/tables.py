"""Tables with a path and a label a row: CSV, TSV, JSONL, lists of PySlowFast, ``videofolder`` of Hugging Face."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.folder import Folder, FolderOrTable
from nlvid_cli.datasets.formats.locate import Locator, PathRules
from nlvid_cli.datasets.labelled import Kind
from nlvid_cli.datasets.numbered_labels import CLASS_FILES, decimal_value, find_class_names
from nlvid_cli.datasets.table import (
    LABEL_COLUMNS,
    LABELS_COLUMNS,
    SPLIT_COLUMNS,
    SPLITS,
    Cell,
    Table,
    TableRow,
    read_table,
)
from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.separated import PATH_COLUMNS
from nlvid_cli.video.suffixes import is_video_name

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".txt")

METADATA_FILES = ("metadata.csv", "metadata.jsonl")


@dataclass(frozen=True)
class _Columns:
    """Indices of columns, and whether a cell of the label column may hold several labels, separated by | or ;."""

    path: int
    label: int
    split: int | None
    several: bool


def is_table(place: FolderOrTable) -> bool:
    """Whether this is a table; asked after the more special forms."""
    return isinstance(place, Table)


def read_one_table(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read a table."""
    assert isinstance(place, Table)
    return _read_tables([(place, None)], rules, _words(place))


def has_metadata(place: FolderOrTable) -> bool:
    """Whether a folder, or a split folder in it, has the metadata file of ``videofolder``."""
    return isinstance(place, Folder) and bool(_metadata_files(place))


def read_metadata(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read ``metadata.csv`` or ``metadata.jsonl``; its folder, or the first folder of a path, names the split."""
    assert isinstance(place, Folder)
    files = [(read_table(path), SPLITS.get(path.parent.name.casefold())) for path in _metadata_files(place)]
    return _read_tables(files, rules, "Hugging Face videofolder", by_folder=True)


def has_split_tables(place: FolderOrTable) -> bool:
    """Whether a folder has ``train.csv``, or the same in another form."""
    return isinstance(place, Folder) and "train" in _split_tables(place)


def read_split_tables(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read ``train.csv``, ``val.csv`` and ``test.csv``, or the same in another form."""
    assert isinstance(place, Folder)
    found = [(read_table(path), split) for split, path in _split_tables(place).items()]
    return _read_tables(found, rules, " and ".join(table.path.name for table, _ in found))


def has_single_table(place: FolderOrTable) -> bool:
    """Whether a folder has exactly one table, and at most one folder with videos."""
    return isinstance(place, Folder) and len(_tables_in(place)) == 1 and len(place.class_folders) < 2


def read_single_table(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read the only table of a folder."""
    assert isinstance(place, Folder)
    return read_one_table(read_table(_tables_in(place)[0]), rules)


def _tables_in(place: Folder) -> list[Path]:
    return [place.path / name for name in place.files if name.endswith(TABLE_SUFFIXES[:3]) and name not in CLASS_FILES]


def _metadata_files(place: Folder) -> list[Path]:
    folders = [place.path, *(place.path / name for name in place.folders if name.casefold() in SPLITS)]
    return [folder / name for folder in folders for name in METADATA_FILES if (folder / name).is_file()]


def _split_tables(place: Folder) -> dict[str, Path]:
    """Tables by split: files that are called by a name of a split and a suffix."""
    found: dict[str, Path] = {}
    for name in place.files:
        split = SPLITS.get(Path(name).stem.casefold())
        if split and name.endswith(TABLE_SUFFIXES):
            if split in found:
                raise DataSetError(f"{place.path}: {found[split].name} and {name} are both for {split}; name one table")
            found[split] = place.path / name
    return dict(sorted(found.items()))


def _words(table: Table) -> str:
    if table.layout == "space-separated" and table.header is None:
        return "space-separated list (PySlowFast)"
    if table.layout == "JSONL":
        return "JSONL"
    return f"{table.layout} table, with {'a' if table.header else 'no'} header"


def _read_tables(
    tables: Sequence[tuple[Table, str | None]], rules: PathRules, source: str, by_folder: bool = False
) -> Entries:
    """Read the rows of one or more tables.

    Args:
        tables: Tables, each with the split of all its rows if that is known.
        rules: How to find the videos.
        source: Form of the data set, in words.
        by_folder: Whether the first folder of a path names the split.
    """
    entries: list[Entry] = []
    several = False
    for table, split in tables:
        columns = _find_columns(table)
        entries += _read_rows(table, columns, split, by_folder, rules)
        several = several or _has_several(table, columns)
    folders = (*((rules.root,) if rules.root else ()), *(table.path.parent for table, _ in tables))
    kind: Kind = "multi" if several else "single"
    if all(label.isdecimal() for entry in entries for label in entry.labels):
        return Entries(_in_one_spelling(entries), source, kind, find_class_names(folders))
    return Entries(tuple(entries), source, kind)


def _in_one_spelling(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Write each number as it was first written: ``2`` and ``02`` are one label."""
    spelt: dict[str | None, str] = {}

    def first(label: str) -> str:
        return spelt.setdefault(decimal_value(label), label)

    return tuple(replace(entry, labels=tuple(dict.fromkeys(map(first, entry.labels)))) for entry in entries)


def _find_columns(table: Table) -> _Columns:
    """Find the columns by the header, or by their cells."""
    taken = {table.column((name,)) for name in SPLIT_COLUMNS}
    width = len(table.rows[0].cells)
    split = table.column(SPLIT_COLUMNS) if table.header else _split_column(table, width)
    path = table.column(PATH_COLUMNS)
    if path is None:
        path = _only(table, (column for column in range(width) if _holds_videos(table, column)), "paths", "path")
    label = table.column(LABEL_COLUMNS)
    if label is None or label == path:
        label = _only(table, (n for n in range(width) if n not in {path, split, *taken}), "labels", "label")
    several = table.header is not None and table.header[label] in LABELS_COLUMNS
    return _Columns(path, label, split, several)


def _holds_videos(table: Table, column: int) -> bool:
    cells = [row.cells[column] for row in table.rows]
    return sum(isinstance(cell, str) and is_video_name(cell) for cell in cells) * 2 > len(cells)


def _split_column(table: Table, width: int) -> int | None:
    for column in range(width):
        if all(str(row.cells[column]).casefold() in SPLITS for row in table.rows):
            return column
    return None


def _only(table: Table, columns: Iterator[int], what: str, name: str) -> int:
    """Return the only candidate for a column; DataSetError if there is none or more than one."""
    found = list(columns)
    if len(found) == 1:
        return found[0]
    held = ", ".join(table.header) if table.header else f"{len(table.rows[0].cells)} columns without a header"
    advice = f"call its column {name}" if table.header else "write a header such as path,label into line 1"
    raise DataSetError(f"{table.where(table.rows[0])}: cannot tell which column holds the {what} ({held}); {advice}")


def _read_rows(table: Table, columns: _Columns, split: str | None, by_folder: bool, rules: PathRules) -> list[Entry]:
    locator = Locator(table.path, rules)
    entries: list[Entry] = []
    missing: dict[int, str] = {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # many rows have the same labels
    for row in table.rows:
        written = _path_cell(table, row, columns.path)
        path = locator.find(written)
        if path is None:
            missing[row.line] = written
            continue
        own_split = split or _split_of(table, row, columns.split)
        if by_folder and own_split is None:
            own_split = SPLITS.get(Path(written).parts[0].casefold())
        labels = _labels_of(table, row, columns)
        entries.append(Entry(table.where(row), written, path, shared.setdefault(labels, labels), own_split))
    locator.check_missing(missing, len(table.rows))
    return entries


def _path_cell(table: Table, row: TableRow, column: int) -> str:
    cell = row.cells[column]
    if not isinstance(cell, str) or not cell:
        raise DataSetError(f"{table.where(row)}: the path is empty, or not a text")
    if "\n" in cell or "\r" in cell:
        raise DataSetError(f"{table.where(row)}: a quote opens here and closes lines later")
    return cell


def _split_of(table: Table, row: TableRow, column: int | None) -> str | None:
    cell = "" if column is None else str(row.cells[column]).casefold()
    if cell and cell not in SPLITS:
        raise DataSetError(f"{table.where(row)}: unknown split {cell!r}; known are {', '.join(SPLITS)}")
    return SPLITS.get(cell)


def _labels_of(table: Table, row: TableRow, columns: _Columns) -> tuple[str, ...]:
    cell = row.cells[columns.label]
    labels = _split_cell(cell) if columns.several or not isinstance(cell, str) else (cell,)
    if not labels and not _has_several(table, columns):
        labels = ("",)  # an empty cell, which is reported later
    return tuple(dict.fromkeys(labels))


def _split_cell(cell: Cell) -> tuple[str, ...]:
    if not isinstance(cell, str):
        return cell
    return tuple(label.strip() for label in re.split(r"[|;]", cell) if label.strip())


def _has_several(table: Table, columns: _Columns) -> bool:
    """Whether any row has several labels in its cell, or a JSON list."""
    cells = [row.cells[columns.label] for row in table.rows]
    return any(not isinstance(cell, str) or (columns.several and len(_split_cell(cell)) > 1) for cell in cells)
