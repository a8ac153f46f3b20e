"""The paths that a table names, in CSV, TSV or Parquet; whatever its other columns hold."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from nlvid_cli.errors import UsageError
from nlvid_cli.inputs.parquet import import_parquet
from nlvid_cli.inputs.table import PATH_COLUMNS, column_name
from nlvid_cli.video.remote import RemotePath, video_path
from nlvid_cli.video.suffixes import VIDEO_SUFFIXES, is_video_name

SEPARATORS = ("\t", ",", ";", "|")

_THEN_LABEL = re.compile(rf"(.+(?:{'|'.join(map(re.escape, VIDEO_SUFFIXES))})) +\S.*", re.IGNORECASE | re.DOTALL)
"""A path up to the last suffix of a video, blanks, and a label, as many programs for training write it."""


def read_paths(file: Path) -> list[str]:
    """The cells of a table's column of paths that are not empty, in their order.

    With a header, it is the column that is called so; see :data:`nlvid_cli.inputs.table.PATH_COLUMNS`. Text without a
    header holds one path a line, a path and a label with blanks between them, or rows of equal width, in the first of
    which one cell is called like a video.

    Args:
        file: of text (UTF-8, or UTF-16 with a byte order mark), or Parquet if it is called ``.parquet``. Bytes in paths
            that are not UTF-8 become lone surrogates.

    Raises:
        UsageError: the file cannot be read, or has no such column.
    """
    return [path for path in (_parquet(file) if file.suffix.lower() == ".parquet" else _text(file)) if path.strip()]


def _text(file: Path) -> list[str]:
    text = _decoded(file)
    headers = {separator: _first_row(text, separator) for separator in SEPARATORS}
    places = {separator: _path_column(header) for separator, header in headers.items()}
    separator = max(SEPARATORS, key=lambda separator: (places[separator] is not None, len(headers[separator])))
    place = places[separator]
    if place is not None:
        return [row[place] for row in _rows(file, text, separator)[1:] if len(row) > place]
    paths = _without_header(file, text) if text.strip() else []
    if paths is None:
        first = text.strip().splitlines()[0]
        raise UsageError(
            f"{file}: no column of paths; call it path, file or video in the first line, which is {_shortened(first)!r}"
        )
    return paths


def _without_header(file: Path, text: str) -> list[str] | None:
    for separator in SEPARATORS:
        with contextlib.suppress(UsageError):  # the quotes are those of another separator
            rows = _rows(file, text, separator)
            widths = {len(row) for row in rows}
            places = [place for row in rows[:1] for place, cell in enumerate(row) if _is_video(cell)]
            if places and len(widths) == 1 and widths != {1}:
                return [row[places[0]] for row in rows]
    rows = _rows(file, text, "\t")
    lines = [row[0] for row in rows]
    labelled = [match[1] for line in lines if not _is_video(line) and (match := _THEN_LABEL.fullmatch(line))]
    if len(labelled) == len(lines):
        return labelled
    is_one_column = all(len(row) == 1 for row in rows)
    return lines if is_one_column and not _begins_with_names(lines) else None


def _begins_with_names(lines: Sequence[str]) -> bool:
    """Whether the first line seems to hold names of columns: it alone is no video, or it has separators."""
    first, *rest = lines
    has_separators = any(separator in first for separator in SEPARATORS)
    return not _is_video(first) and (has_separators or (bool(rest) and all(map(_is_video, rest))))


def _path_column(header: Sequence[str]) -> int | None:
    """The place of the column of paths in a header; None if there is none, or this is no header."""
    names = [column_name(cell) for cell in header]
    if any(map(is_video_name, header)):
        return None
    return next((names.index(name) for name in PATH_COLUMNS if name in names), None)


def _is_video(cell: str) -> bool:
    return is_video_name(cell) or isinstance(video_path(cell), RemotePath)


def _first_row(text: str, separator: str) -> list[str]:
    """The first row that is not empty, however wrong its quotes are."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t")
    try:
        return next((row for row in reader if any(map(str.strip, row))), [])
    except csv.Error:  # a cell that is longer than any text
        return []


def _rows(file: Path, text: str, separator: str) -> list[list[str]]:
    """Cells of all rows that are not empty, without the blanks around them."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    rows, line = [], 1
    try:
        for row in reader:
            rows.append([cell.strip() for cell in row])
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(
            f"{file}, line {line}: cannot be read ({error}); a quote within quotes is written twice"
        ) from None
    return [row for row in rows if any(row)]


def _decoded(file: Path) -> str:
    try:
        content = file.read_bytes()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16") if is_utf16 else os.fsdecode(content)
    except OSError as error:
        raise UsageError(f"{file}: cannot read the table ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: cannot read the table ({error}); save it as UTF-8") from None
    if "\0" in text:
        raise UsageError(f"{file}: not a text file (to name tables in Parquet, call them .parquet)")
    return text.removeprefix("\ufeff")  # the byte order mark of UTF-8


def _parquet(file: Path) -> list[str]:
    parquet = import_parquet()
    try:
        with parquet.ParquetFile(file) as table:
            names: list[str] = table.schema_arrow.names
            column = _path_column(names)
            if column is None:
                raise UsageError(f"{file}: no column of paths (call it path, file or video; there are {names})")
            values = table.read([names[column]]).column(0).to_pylist()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot read the table ({error})") from None
    other = next((value for value in values if not isinstance(value, str | bytes | None)), None)
    if other is not None:
        raise UsageError(f"{file}: column {names[column]!r} holds no paths but {type(other).__name__}s")
    return [os.fsdecode(value) for value in values if value is not None]


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
