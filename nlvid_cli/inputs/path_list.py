"""Paths and stretches of videos from a table in CSV, TSV or Parquet, whatever its other columns hold."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nlvid_cli.errors import DataSetError, UsageError
from nlvid_cli.inputs.parquet import import_parquet
from nlvid_cli.inputs.separated import (
    FRAME_COUNT_COLUMNS,
    PATH_COLUMNS,
    SEPARATORS,
    column_name,
    find_column,
    first_row,
    is_header,
    parse_rows,
    shown_line,
    split_after_video,
    stated_separator,
)
from nlvid_cli.inputs.stretch_columns import StretchColumns, find_stretch_columns
from nlvid_cli.inputs.text import read_text
from nlvid_cli.inputs.times import seconds_of
from nlvid_cli.video.remote import RemotePath, video_path
from nlvid_cli.video.segment import Stretch
from nlvid_cli.video.suffixes import is_video_name

log = logging.getLogger(__name__)


class PathRow(NamedTuple):
    """A row of a table.

    Attributes:
        path: Path of a video.
        stretch: Part of it that the row is about; None: all of it.
        frames: Number of frames that the row states; None if it does not.
    """

    path: str
    stretch: Stretch | None = None
    frames: int | None = None


def read_path_rows(file: Path) -> list[PathRow]:
    """Read the paths in a table, in order, without empty cells, and the stretches in its columns of starts and ends.

    With a header, the column with the first name of :data:`nlvid_cli.inputs.separated.PATH_COLUMNS` counts. Text
    without a header holds a path a line, a path and a label with blanks between them, or rows of equal width with a
    video in the first row.

    Args:
        file: Text in UTF-8 or UTF-16, or Parquet under the suffix ``.parquet``. Bytes in paths that are not UTF-8
            become lone surrogates.

    Raises:
        UsageError: The file cannot be read, or has no column of paths.
        DataSetError: A start or an end is not a time; names the line.
    """
    rows = _parquet_rows(file) if file.suffix.lower() == ".parquet" else _text_rows(file)
    return [row for row in rows if row.path.strip()]


def _text_rows(file: Path) -> list[PathRow]:
    stated, text = stated_separator(read_text(file, keep_bytes=True))
    headers = {separator: first_row(text, separator) for separator in ((stated,) if stated else SEPARATORS)}
    columns = {separator: _path_column(header) for separator, header in headers.items()}
    separator = max(headers, key=lambda separator: (columns[separator] is not None, len(headers[separator])))
    column = columns[separator]
    if column is not None:
        names = [*map(column_name, headers[separator])]
        rows = parse_rows(text, separator, str(file))[1:]
        stretches, count = find_stretch_columns(names), find_column(names, FRAME_COUNT_COLUMNS)
        if stretches is not None and not _hold_times(stretches, [row.cells for row in rows], file):
            stretches = None
        return [
            PathRow(
                row.cells[column],
                _stretch(stretches, row.cells, f"{file}, line {row.line}"),
                _frame_count(row.cells, count),
            )
            for row in rows
            if len(row.cells) > column
        ]
    paths = _paths_without_header(file, text) if text.strip() else []
    if paths is None:
        first = shown_line(text.strip().splitlines()[0])
        raise UsageError(f"{file}: no column of paths; call it path, file or video in the first line, now {first!r}")
    return [*map(PathRow, paths)]


def _hold_times(columns: StretchColumns, rows: Sequence[Sequence[object]], file: Path) -> bool:
    """Whether columns called like starts and ends hold them, and not mostly something else, such as names."""
    starts = [str(cells[columns.start]) for cells in rows if len(cells) > columns.start]
    others = sum(bool(text.strip()) and seconds_of(text) is None for text in starts)
    if others * 2 <= len(starts):
        return True
    log.info("%s: the columns %s hold no times, and are not used", file, " and ".join(columns.names))
    return False


def _stretch(columns: StretchColumns | None, cells: Sequence[object], where: str) -> Stretch | None:
    if columns is None or max(columns.start, columns.end) >= len(cells):
        return None
    return columns.stretch(cells, where)


def _frame_count(cells: Sequence[str], column: int | None) -> int | None:
    cell = "" if column is None or column >= len(cells) else cells[column]
    return int(cell) if cell.isdecimal() and len(cell) < 10 and int(cell) else None


def _paths_without_header(file: Path, text: str) -> list[str] | None:
    for separator in SEPARATORS:
        with suppress(DataSetError):  # the quotes belong to another separator
            rows = [row.cells for row in parse_rows(text, separator, str(file))]
            widths = {len(cells) for cells in rows}
            columns = [column for cells in rows[:1] for column, cell in enumerate(cells) if _is_video(cell)]
            if columns and len(widths) == 1 and widths != {1}:
                return [cells[columns[0]] for cells in rows]
    rows = [row.cells for row in parse_rows(text, "tab", str(file))]
    lines = [cells[0] for cells in rows]
    labelled = [pair[0] for line in lines if not _is_video(line) and (pair := split_after_video(line))]
    if len(labelled) == len(lines):
        return labelled
    is_one_column = all(len(cells) == 1 for cells in rows)
    return lines if is_one_column and not _begins_with_names(lines) else None


def _begins_with_names(lines: Sequence[str]) -> bool:
    """Whether the first line seems to name columns: it is the only one that is not a video, or it has separators."""
    first, *rest = lines
    has_separators = any(separator in first for separator in SEPARATORS.values())
    return not _is_video(first) and (has_separators or (bool(rest) and all(map(_is_video, rest))))


def _path_column(header: Sequence[str]) -> int | None:
    """Return the index of the column of paths; None if there is none, or this is not a header."""
    return find_column([*map(column_name, header)], PATH_COLUMNS) if is_header(header, PATH_COLUMNS) else None


def _is_video(cell: str) -> bool:
    return is_video_name(cell) or isinstance(video_path(cell), RemotePath)


def _parquet_rows(file: Path) -> list[PathRow]:
    parquet = import_parquet()
    try:
        with parquet.ParquetFile(file) as table:
            names: list[str] = table.schema_arrow.names
            column = _path_column(names)
            if column is None:
                raise UsageError(f"{file}: no column of paths (call it path, file or video; the columns are {names})")
            values = table.read([names[column]]).column(0).to_pylist()
            parts: list[Stretch | None] = [None] * len(values)
            if (stretches := find_stretch_columns([*map(column_name, names)])) is not None:
                wanted = [names[stretches.start], names[stretches.end]]
                times = table.read(wanted)
                sides = ([_cell(value) for value in times.column(name).to_pylist()] for name in wanted)
                rows, columns = [*zip(*sides, strict=True)], replace(stretches, start=0, end=1)
                if _hold_times(columns, rows, file):
                    parts = [columns.stretch(row, f"{file}, row {number}") for number, row in enumerate(rows, start=1)]
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read ({error})") from None
    other = next((value for value in values if not isinstance(value, str | bytes | None)), None)
    if other is not None:
        raise UsageError(f"{file}: column {names[column]!r} holds {type(other).__name__}s instead of paths")
    return [PathRow(os.fsdecode(value), part) for value, part in zip(values, parts, strict=True) if value is not None]


def _cell(value: object) -> object:
    """Return a value of Parquet as text would have it: an empty cell for a missing one."""
    return "" if value is None or value != value else value
