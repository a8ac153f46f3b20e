"""Tables with a path and a label in each row: CSV, TSV, JSONL, PySlowFast's lists, Hugging Face's ``videofolder``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlvid_cli.datasets.class_names import CLASS_FILES, find_class_names
from nlvid_cli.datasets.decimals import decimal_value
from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.labelled import Kind
from nlvid_cli.datasets.locate import Locator
from nlvid_cli.datasets.look import Folder, Place, Wanted
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
    """Indices of columns; `several`: a cell of the label column may hold several, separated by | or ;."""

    path: int
    label: int
    split: int | None
    several: bool


def is_table(place: Place) -> bool:
    """Whether it is a table: what no other format claims."""
    return isinstance(place, Table)


def read_one_table(place: Place, wanted: Wanted) -> Entries:
    """The rows of a table."""
    assert isinstance(place, Table)
    return _read_tables([(place, None)], wanted, _words(place))


def has_metadata(place: Place) -> bool:
    """Whether a folder, or its folders of splits, have the metadata file of ``videofolder``."""
    return isinstance(place, Folder) and bool(_metadata_files(place))


def read_metadata(place: Place, wanted: Wanted) -> Entries:
    """The rows of ``metadata.csv`` or ``metadata.jsonl``; its folder, or the first one in a path, tells the split."""
    assert isinstance(place, Folder)
    files = [(read_table(path), SPLITS.get(path.parent.name.casefold())) for path in _metadata_files(place)]
    return _read_tables(files, wanted, "Hugging Face videofolder", by_folder=True)


def has_split_tables(place: Place) -> bool:
    """Whether a folder has ``train.csv`` and the like, also as ``train_list.txt`` or ``k400_train.csv``."""
    return isinstance(place, Folder) and "train" in _split_tables(place)


def read_split_tables(place: Place, wanted: Wanted) -> Entries:
    """The rows of ``train.csv``, ``val.csv`` and ``test.csv``, or the same in another format."""
    assert isinstance(place, Folder)
    found = [(read_table(path), split) for split, path in _split_tables(place).items()]
    return _read_tables(found, wanted, " and ".join(table.path.name for table, _ in found))


def has_single_table(place: Place) -> bool:
    """Whether a folder has exactly one table, and its videos do not lie in several folders."""
    return isinstance(place, Folder) and len(_tables_in(place)) == 1 and len(place.class_folders) < 2


def read_single_table(place: Place, wanted: Wanted) -> Entries:
    """The rows of the one table of a folder."""
    assert isinstance(place, Folder)
    return read_one_table(read_table(_tables_in(place)[0]), wanted)


def _tables_in(place: Folder) -> list[Path]:
    return [place.path / name for name in place.files if name.endswith(TABLE_SUFFIXES[:3]) and name not in CLASS_FILES]


def _metadata_files(place: Folder) -> list[Path]:
    folders = [place.path, *(place.path / name for name in place.folders if name.casefold() in SPLITS)]
    return [folder / name for folder in folders for name in METADATA_FILES if (folder / name).is_file()]


def _split_tables(place: Folder) -> dict[str, Path]:
    """Tables by split: those whose names are one of its names and a suffix."""
    found: dict[str, Path] = {}
    for name in place.files:
        split = SPLITS.get(Path(name).stem.casefold())
        if split and name.endswith(TABLE_SUFFIXES):
            if split in found:
                raise DataSetError(f"{place.path}: both {found[split].name} and {name} are there; name one table")
            found[split] = place.path / name
    return dict(sorted(found.items()))


def _words(table: Table) -> str:
    if table.layout == "space-separated" and table.header is None:
        return "space-separated list (PySlowFast)"
    if table.layout == "JSONL":
        return "JSONL"
    return f"{table.layout} table, with {'a' if table.header else 'no'} header"


def _read_tables(
    tables: Sequence[tuple[Table, str | None]], wanted: Wanted, source: str, by_folder: bool = False
) -> Entries:
    """The rows of tables that lie side by side.

    Args:
        tables: each with the split of all its rows, if that is known.
        wanted: by the user.
        source: what was recognised.
        by_folder: whether a folder in a path tells the split.
    """
    entries: list[Entry] = []
    several = False
    for table, split in tables:
        columns = _find_columns(table)
        entries += _read_rows(table, columns, split, by_folder, wanted)
        several = several or _has_several(table, columns)
    folders = (*((wanted.root,) if wanted.root else ()), *(table.path.parent for table, _ in tables))
    kind: Kind = "multi" if several else "single"
    if all(label.isdecimal() for entry in entries for label in entry.labels):
        return Entries(_in_one_spelling(entries), source, kind, find_class_names(folders))
    return Entries(tuple(entries), source, kind)


def _in_one_spelling(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The same with the first spelling of each number: ``2`` and ``02`` are one label."""
    spelt: dict[str | None, str] = {}

    def first(label: str) -> str:
        return spelt.setdefault(decimal_value(label), label)

    return tuple(replace(entry, labels=tuple(dict.fromkeys(map(first, entry.labels)))) for entry in entries)


def _find_columns(table: Table) -> _Columns:
    """Which column is what: by the header, or by what is in them."""
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
    """The one column that can be it."""
    found = list(columns)
    if len(found) == 1:
        return found[0]
    held = ", ".join(table.header) if table.header else f"{len(table.rows[0].cells)} columns without a header"
    advice = f"call its column {name}" if table.header else "write a header such as path,label into line 1"
    raise DataSetError(f"{table.where(table.rows[0])}: cannot tell which column holds the {what} ({held}); {advice}")


def _read_rows(table: Table, columns: _Columns, split: str | None, by_folder: bool, wanted: Wanted) -> list[Entry]:
    locator = Locator(table.path, wanted.root)
    entries: list[Entry] = []
    missing: dict[int, str] = {}
    for row in table.rows:
        written = _path_cell(table, row, columns.path)
        path = locator.find(written)
        if path is None:
            missing[row.line] = written
            continue
        own_split = split or _split_of(table, row, columns.split)
        if by_folder and own_split is None:
            own_split = SPLITS.get(Path(written).parts[0].casefold())
        entries.append(Entry(table.where(row), written, path, _labels_of(table, row, columns), own_split))
    locator.check_missing(missing, len(table.rows), wanted.skip_missing)
    return entries


def _path_cell(table: Table, row: TableRow, column: int) -> str:
    cell = row.cells[column]
    if not isinstance(cell, str) or not cell:
        raise DataSetError(f"{table.where(row)}: the path is empty, or no text")
    if "\n" in cell:
        raise DataSetError(f"{table.where(row)}: a quote is opened here and closed only lines later")
    return cell


def _split_of(table: Table, row: TableRow, column: int | None) -> str | None:
    cell = "" if column is None else str(row.cells[column]).casefold()
    if cell and cell not in SPLITS:
        raise DataSetError(f"{table.where(row)}: the split {cell!r} is none of {', '.join(SPLITS)}")
    return SPLITS.get(cell)


def _labels_of(table: Table, row: TableRow, columns: _Columns) -> tuple[str, ...]:
    cell = row.cells[columns.label]
    labels = _split_cell(cell) if columns.several or not isinstance(cell, str) else (cell,)
    if not labels and not _has_several(table, columns):
        labels = ("",)  # an empty cell, which is told as such
    return tuple(dict.fromkeys(labels))


def _split_cell(cell: Cell) -> tuple[str, ...]:
    if not isinstance(cell, str):
        return cell
    return tuple(label.strip() for label in re.split(r"[|;]", cell) if label.strip())


def _has_several(table: Table, columns: _Columns) -> bool:
    """Whether any row has a list, or several labels in its cell."""
    cells = [row.cells[columns.label] for row in table.rows]
    return any(not isinstance(cell, str) or (columns.several and len(_split_cell(cell)) > 1) for cell in cells)
