"""What the columns of a table hold: the path, the labels, the split, and the part of the video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nlvid_cli.datasets.json_table import uploaded_name
from nlvid_cli.datasets.label_cells import FLAGS, are_lists, is_flag, listed, separated
from nlvid_cli.datasets.table import name_column
from nlvid_cli.datasets.table_rows import (
    LABEL_COLUMNS,
    LABELS_COLUMNS,
    OTHER_COLUMNS,
    SPLIT_COLUMNS,
    SPLITS,
    Cell,
    Table,
    TableRow,
)
from nlvid_cli.errors import DataSetError, Unlabelled
from nlvid_cli.inputs.separated import PATH_COLUMNS
from nlvid_cli.inputs.stretch_columns import StretchColumns, find_stretch_columns, is_stretch_column
from nlvid_cli.video.suffixes import is_video_name

SEVERAL = ("|;", ",")
"""Letters between the labels of a cell, in the order in which they are tried."""


@dataclass(frozen=True)
class Columns:
    """Indices of columns, and how to read their cells.

    Attributes:
        path: Column of the videos.
        labels: Column of the labels; several columns if each is one class, with 0 or 1.
        split: Column of the splits.
        stretch: Columns of starts and ends.
        separators: Letters between several labels in a cell; "" if a cell is one label.
        lists: Whether cells hold lists such as ``['a', 'b']``.
        notes: What was not certain, and how it was taken.
    """

    path: int
    labels: tuple[int, ...]
    split: int | None
    stretch: StretchColumns | None = None
    separators: str = ""
    lists: bool = False
    notes: tuple[str, ...] = ()


def find_columns(table: Table) -> Columns:
    """Find the columns by the header, or by their cells.

    Raises:
        Unlabelled: There is no column of labels.
        DataSetError: Several columns can hold the paths or the labels.
    """
    header, width = table.header or (), len(table.rows[0].cells)
    split = table.column(SPLIT_COLUMNS) if header else _split_column(table, width)
    path = table.column(PATH_COLUMNS)
    if path is None:
        path = _path_column(table, width)
    stretch = find_stretch_columns(header)
    label = table.column(LABEL_COLUMNS)
    if label is None or label == path:
        splits = {table.column((name,)) for name in SPLIT_COLUMNS}
        free = [n for n in range(width) if n not in {path, split, *splits} and not (header and _is_other(header[n]))]
        if header and len(free) > 1 and all(is_flag(row.cells[n]) for row in table.rows for n in free):
            note = f"{table.path}: {len(free)} columns of 0 and 1 are taken as the classes"
            return Columns(path, tuple(free), split, stretch, notes=(note,))
        _refuse_epic(table)
        label = _only(table, free, "labels", "label")
    cells = [row.cells[label] for row in table.rows]
    if are_lists(cells):
        return Columns(path, (label,), split, stretch, lists=True)
    separators = ""
    notes: tuple[str, ...] = ()
    if header and header[label] in LABELS_COLUMNS:
        separators, notes = _separators(table, label, cells)
    return Columns(path, (label,), split, stretch, separators, notes=notes)


def labels_of(table: Table, row: TableRow, columns: Columns, may_have_none: bool) -> tuple[str, ...]:
    """Return the labels of a row, each once; an empty one if a label is missing, and it must have one."""
    if len(columns.labels) > 1:
        return tuple(table.titles[n] for n in columns.labels if FLAGS[str(row.cells[n]).casefold()])
    labels = _split_cell(row.cells[columns.labels[0]], columns)
    if not labels and not may_have_none:
        labels = ("",)  # an empty cell, which is reported later
    return tuple(dict.fromkeys(labels))


def is_multi(table: Table, columns: Columns) -> bool:
    """Whether rows may have any number of labels."""
    if len(columns.labels) > 1:
        return any(sum(FLAGS[str(row.cells[n]).casefold()] for n in columns.labels) != 1 for row in table.rows)
    cells = [row.cells[columns.labels[0]] for row in table.rows]
    several = bool(columns.separators)
    return columns.lists or any(
        not isinstance(cell, str) or (several and len(_split_cell(cell, columns)) > 1) for cell in cells
    )


def split_of(table: Table, row: TableRow, columns: Columns) -> str | None:
    """Return the split that a row names.

    Raises:
        DataSetError: No split is called like this.
    """
    cell = "" if columns.split is None else str(row.cells[columns.split]).casefold()
    if cell and cell not in SPLITS:
        raise DataSetError(f"{table.where(row)}: unknown split {cell!r}; known are {', '.join(SPLITS)}")
    return SPLITS.get(cell)


def path_of(table: Table, row: TableRow, columns: Columns) -> str:
    """Return the path of a row.

    Raises:
        DataSetError: There is none.
    """
    cell = row.cells[columns.path]
    if not isinstance(cell, str) or not cell:
        raise DataSetError(f"{table.where(row)}: the path is empty, or not a text")
    if "\n" in cell or "\r" in cell:
        raise DataSetError(f"{table.where(row)}: a quote opens here and closes lines later")
    return uploaded_name(cell)


def _separators(table: Table, label: int, cells: list[Cell]) -> tuple[str, tuple[str, ...]]:
    texts = [cell for cell in cells if isinstance(cell, str)]
    if table.layout == "space-separated" and all(text.replace(" ", "").isdecimal() for text in texts):
        return " ", ()
    for separators in SEVERAL:
        example = next((text for text in texts if len(separated(text, separators)) > 1), None)
        if example is not None:
            name = table.titles[label]
            note = (
                f"{table.path}: the commas in the column {name} are taken to separate labels, as in {example!r}; "
                "call the column label if a cell is one label"
            )
            return separators, ((note,) if separators == "," else ())
    return SEVERAL[0], ()


def _split_cell(cell: Cell, columns: Columns) -> tuple[str, ...]:
    if not isinstance(cell, str):
        return cell
    if columns.lists:
        items = listed(cell)
        return items if items is not None else (cell,) if cell else ()
    return separated(cell, columns.separators) if columns.separators else (cell,)


def _is_other(name: str) -> bool:
    return name in OTHER_COLUMNS or is_stretch_column(name)


def _path_column(table: Table, width: int) -> int:
    holding = [column for column in range(width) if _holds_videos(table, column)]
    if not holding and width == 2 and table.header is None:
        names = name_column([row.cells for row in table.rows])
        holding = [] if names is None else [names]
    return _only(table, holding, "paths", "path")


def _holds_videos(table: Table, column: int) -> bool:
    cells = [row.cells[column] for row in table.rows]
    return sum(isinstance(cell, str) and is_video_name(cell) for cell in cells) * 2 > len(cells)


def _split_column(table: Table, width: int) -> int | None:
    for column in range(width):
        if all(str(row.cells[column]).casefold() in SPLITS for row in table.rows):
            return column
    return None


def _refuse_epic(table: Table) -> None:
    header = table.header or ()
    if {"verb", "noun"} <= set(header):
        raise DataSetError(
            f"{table.path}, line 1: each row has a verb and a noun, as in EPIC-KITCHENS; call the column that you want "
            "to learn label (verb or noun), or write both into one column of that name"
        )


def _only(table: Table, found: list[int], what: str, name: str) -> int:
    """Return the only candidate for a column; DataSetError if there is none or more than one."""
    if len(found) == 1:
        return found[0]
    held = ", ".join(table.header) if table.header else f"{len(table.rows[0].cells)} columns without a header"
    advice = f"call its column {name}" if table.header else "write a header such as path,label into line 1"
    kind = DataSetError if found or what == "paths" or not table.header else Unlabelled
    raise kind(f"{table.where(table.rows[0])}: cannot tell which column holds the {what} ({held}); {advice}")


def unused(columns: Columns, table: Table) -> Iterator[str]:
    """Yield a note for what a table says about parts of videos and nlvid does not use."""
    names = [name for name in table.header or () if is_stretch_column(name)]
    if columns.stretch is None and names:
        yield f"{table.path}: the column {names[0]} alone tells no part of a video, and is not used"
