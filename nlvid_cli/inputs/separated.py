"""Text in columns: separators, quotes and headers, for lists of paths and for tables of labelled videos alike."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nlvid_cli.errors import DataSetError
from nlvid_cli.video.suffixes import VIDEO_SUFFIXES, is_video_name

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
"""Separators by name, in the order in which they are tried."""

PATH_COLUMNS = (
    *("path", "video_path", "file_path", "filepath", "clip_path", "file_name", "filename", "file", "video_file"),
    *("video", "videos", "clip", "video_name", "vid_name", "clip_name", "video_id", "vid_id", "vid", "youtube_id"),
    *("clip_id", "file_id", "id", "name"),
)
"""Header names of the column of videos, best first."""

FRAME_COUNT_COLUMNS = ("frames", "num_frames", "n_frames", "nframes", "frame_count", "total_frames", "nb_frames")
"""Header names of the column that says how many frames a video has."""

SHOWN_LETTERS = 60
"""Letters of a line shown in an error."""

_EXCEL_SEPARATOR = re.compile(r"\ufeff?\s*\"?sep=(.)\"?[ \t]*(?=[\r\n]|$)", re.IGNORECASE)
"""First line of a text that says how its cells are separated, as spreadsheets write and read it."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

_VIDEO_THEN_TEXT = re.compile(
    rf"""(?:"([^"]+)"|(.*(?:{"|".join(map(re.escape, VIDEO_SUFFIXES))})))\s+(\S.*)""", re.IGNORECASE | re.DOTALL
)
"""A path in quotes, or up to the last suffix of a video; then blanks and more. Both may hold blanks."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """A row of separated text.

    Attributes:
        line: Line of the file where the row begins, from 1.
        cells: Texts without the blanks around them.
    """

    line: int
    cells: tuple[str, ...]


def parse_rows(text: str, separator: str, where: str) -> list[TextRow]:
    """Parse separated text, by the rules of CSV (RFC 4180) with any separator; leave out empty rows.

    Args:
        text: Text of the file, with its own line ends.
        separator: Name of the separator, a key of :data:`SEPARATORS`.
        where: Name of the file, for errors.

    Raises:
        DataSetError: Quotes do not match; the error names the line where the row begins.
    """
    reader = csv.reader(_lines(text), strict=True, **_rules(separator))
    rows, line = [], 1
    try:
        for cells in reader:
            rows.append(TextRow(line, tuple(cell.strip() for cell in cells)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataSetError(
            f"{where}, line {line}: cannot be parsed ({error}); write a quote within quotes twice"
        ) from None
    return [row for row in rows if any(row.cells)]


def first_row(text: str, separator: str) -> tuple[str, ...]:
    """Return the cells of the first row that is not empty, even if its quotes do not match."""
    reader = csv.reader(_lines(text), **_rules(separator))
    try:
        return next(filter(any, (tuple(cell.strip() for cell in cells) for cells in reader)), ())
    except csv.Error:  # a cell longer than csv.field_size_limit, which is not a table
        return ()


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text with their ends: LF, CRLF or CR. A stream would hold a copy with 4 bytes a letter."""
    return (match[0] for match in _LINE.finditer(text))


def _rules(separator: str) -> dict[str, Any]:
    return {"delimiter": SEPARATORS[separator], "skipinitialspace": separator != "tab"}


def stated_separator(text: str) -> tuple[str | None, str]:
    """Return the name of the separator that a first line such as ``sep=;`` states, and the text with that line empty.

    Returns:
        None and the same text if there is no such line, or if no table is separated like this.
    """
    match = _EXCEL_SEPARATOR.match(text)
    name = next((name for name, letter in SEPARATORS.items() if match and match[1] == letter), None)
    return (None, text) if match is None or name is None else (name, text[match.end() :])


def column_name(text: str) -> str:
    """Return a header name in small letters, with ``_`` for all else between letters: ``clip_name`` for ``Clip-Name``.

    A capital letter after a small one begins a word: ``videoPath`` is ``video_path``.
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    return re.sub(r"[\W_]+", "_", words).strip("_").casefold()


def is_header(cells: Sequence[str], known: Collection[str]) -> bool:
    """Whether a row names a known column and no video."""
    return any(column_name(cell) in known for cell in cells) and not any(map(is_video_name, cells))


def find_column(header: Sequence[str], names: Iterable[str]) -> int | None:
    """Return the index of the column with the first of these names that the header has; None if it has none."""
    return next((header.index(name) for name in names if name in header), None)


def shown_line(line: str) -> str:
    """Shorten a line for an error."""
    return line if len(line) <= SHOWN_LETTERS else line[: SHOWN_LETTERS - 3] + "..."


def split_after_video(line: str) -> tuple[str, str] | None:
    """Split ``path label``, as many training programs write it; None if no video stands before the blanks."""
    match = _VIDEO_THEN_TEXT.fullmatch(line.strip())
    return None if match is None else (match[1] or match[2], match[3])
