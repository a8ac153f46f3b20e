"""Tables of labelled videos: separated text with a header or without, and JSON Lines.

The separator and the header are found by trying: with the right separator the first row names known columns, or most
rows have as many cells as the first, one of which looks like a video. Whatever then does not fit is an error at its
line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from nlvid_cli.datasets.json_table import is_one_object, read_json_document, read_json_lines
from nlvid_cli.datasets.number_lists import read_numbers, split_name
from nlvid_cli.datasets.table_rows import KNOWN_COLUMNS, SPLITS, Cell, Table, TableRow, is_known_column
from nlvid_cli.errors import DataSetError, Unlabelled
from nlvid_cli.inputs.separated import (
    PATH_COLUMNS,
    SEPARATORS,
    TextRow,
    column_name,
    first_row,
    is_header,
    parse_rows,
    shown_line,
    split_after_video,
    stated_separator,
)
from nlvid_cli.inputs.text import read_text, split_lines
from nlvid_cli.video.suffixes import is_video_name

LIST_OF_PATHS = "list of paths"
"""Layout of a table whose labels are the folders of its paths."""

MAX_TABLE_BYTES = 1 << 30
"""Far larger than any table of labelled videos: Kinetics-700 has 30 MB."""

COMPARED_ROWS = 1000
"""Rows that are tried with each separator."""

_COMMENT = re.compile(r"^\s*#", re.MULTILINE)

_FIRST_LINE = re.compile(r"\S[^\r\n]*")

_SEPARATORS = (*SEPARATORS, "space")
"""A space separates a path from a label, as in the lists of PySlowFast."""


def read_table(path: Path) -> Table:
    """Read a table with any separator, with a header or without.

    Args:
        path: Text file with a row a line, or a JSON object a line.

    Raises:
        DataSetError: The file is not text, is empty, or has rows that do not fit the others; names the line.
    """
    if is_video_name(path.name):
        raise DataSetError(f"{path}: a video, not a data set (name a folder of classes, or a CSV, TSV or JSONL file)")
    text = read_text(path, max_bytes=MAX_TABLE_BYTES)
    found = _FIRST_LINE.search(text)
    if found is None:
        raise DataSetError(f"{path}: the file is empty")
    first = found[0].strip()
    if first.startswith("{") and not ((path.suffix == ".json" or first == "{") and is_one_object(text, path)):
        return read_json_lines(path, split_lines(text))
    if first.startswith("{") or first == "[" or re.match(r"\[\s*[\[{]", first) or path.suffix == ".json":
        return read_json_document(path, text)
    return _separated_table(path, text)


def _separated_table(path: Path, text: str) -> Table:
    stated, text = stated_separator(text)
    text, notes = _without_comments(path, text)
    if not text.strip():
        raise DataSetError(f"{path}: holds only comments")
    separator = stated or _find_separator(path, text)
    if separator is None:
        return _bare_list(path, text, notes)
    rows = _space_rows(text) if separator == "space" else parse_rows(text, separator, str(path))
    first, *rest = rows
    titles = first.cells if _is_header(first.cells) else ()
    header = tuple(map(column_name, titles)) or None
    if header:
        repeated = next((name for name in header if header.count(name) > 1 and is_known_column(name)), None)
        if repeated:
            raise DataSetError(f"{path}, line {first.line}: two columns are called {repeated!r}")
        if not rest:
            raise DataSetError(f"{path}: a header and nothing below it")
    elif _is_unknown_header(rows):
        raise DataSetError(
            f"{path}, line {first.line}: looks like a header, but no name in it is known ({', '.join(first.cells)}); "
            "call the columns path and label"
        )
    else:
        numbered = _numbered(path, rows, separator, notes)
        if numbered:
            return numbered
    _check_widths(path, rows, header, separator)
    below = tuple(TableRow(row.line, row.cells) for row in (rest if header else rows))
    return Table(path, f"{separator}-separated", header, below, titles, notes=notes)


def _without_comments(path: Path, text: str) -> tuple[str, tuple[str, ...]]:
    """Empty the lines that begin with ``#``, apart from a header; return a note if videos are named in them."""
    if not _COMMENT.search(text):
        return text, ()
    lines = split_lines(text)
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    named = 0
    for number, line in enumerate(lines):
        comment = line.lstrip()
        if not comment.startswith("#") or (any(map(is_video_name, _parts(comment))) and comment[1:2].strip()):
            continue  # a name may begin with #
        is_header = number == first and any(_known_columns(_cells_of(comment, name)) >= 2 for name in _SEPARATORS)
        named += any(map(is_video_name, _parts(comment)))
        lines[number] = comment.lstrip("# \t") if is_header else ""
    note = f"{path}: {named} lines that begin with # are taken as comments, although they name videos"
    return "\n".join(lines), ((note,) if named else ())


def _parts(line: str) -> list[str]:
    return re.split(r"[\s,;|\"]+", line)


def _numbered(path: Path, rows: list[TextRow], separator: str, notes: tuple[str, ...]) -> Table | None:
    """Table of a list whose lines hold a path and several numbers; None if this is another list."""
    if any(len(row.cells) < 2 or (separator != "space" and not is_video_name(row.cells[0])) for row in rows):
        return None
    if separator != "space" and max(len(row.cells) for row in rows) == 2:
        return None
    found = read_numbers([" ".join(row.cells[1:]).strip() for row in rows], str(path), SEPARATORS.get(separator, " "))
    if found is None or found.form == "label":
        return None
    pairs = zip(rows, found.numbers, strict=True)
    if found.form == "frames":
        below = tuple(TableRow(row.line, (row.cells[0], *numbers)) for row, numbers in pairs)
        header: tuple[str, ...] = ("path", "frames", "label")
        layout = "list of paths, numbers of frames and labels"
    else:
        below = tuple(TableRow(row.line, (row.cells[0], numbers)) for row, numbers in pairs)
        header, layout = ("path", "labels"), "list of paths and labels"
    return Table(path, layout, header, below, header, notes=(*notes, found.note))


def _bare_list(path: Path, text: str, notes: tuple[str, ...]) -> Table:
    """Table of a list of paths: the folder of each is its class, as in the test lists of UCF101."""
    lines = [(number, line.strip(" \t\"'")) for number, line in enumerate(split_lines(text), start=1) if line.strip()]
    if column_name(lines[0][1]) in PATH_COLUMNS:
        del lines[0]
    folders = [PurePath(line.replace("\\", "/")).parent.name for _, line in lines]
    are_classes = len(set(folders)) > 1 or all(
        folder in PurePath(line).name for (_, line), folder in zip(lines, folders, strict=True)
    )
    if not all(folders) or not are_classes or all(folder.casefold() in SPLITS for folder in folders):
        raise Unlabelled(f"{path}: holds paths and no labels; write both into each line, such as clips/a.mp4,run")
    rows = tuple(TableRow(number, (line, folder)) for (number, line), folder in zip(lines, folders, strict=True))
    note = f"{path}: holds paths and no labels; the folder of each path is taken as its class"
    return Table(path, LIST_OF_PATHS, ("path", "label"), rows, ("path", "label"), notes=(*notes, note))


def _find_separator(path: Path, text: str) -> str | None:
    """Return the separator under which the first row is a header, or under which most rows hold a video and more.

    Returns:
        None for a list of paths.
    """
    lines = [line for line in split_lines(text) if line.strip()]
    first = {name: _cells_of(lines[0], name) for name in _SEPARATORS}
    known = {name: _known_columns(cells) for name, cells in first.items()}
    # Names of columns may hold spaces, so that any other separator is more likely.
    is_spaced = not any(len(first[name]) > 1 for name in SEPARATORS)
    candidates = [name for name in _SEPARATORS if known[name] >= 2 and (name != "space" or is_spaced)]
    if candidates:
        return max(candidates, key=lambda name: known[name])
    fits = {name: _fitting_share(lines[:COMPARED_ROWS], name) for name in _SEPARATORS}
    if max(fits.values()) >= 0.5:
        return max(fits, key=lambda name: fits[name])
    if sum(is_video_name(line.strip(" \"'")) for line in lines) * 2 >= len(lines):
        return None
    one_hot = [name for name in SEPARATORS if known[name] and len(first[name]) > 2]
    of_names = one_hot or [name for name in _SEPARATORS if _is_list_of_names(lines[:COMPARED_ROWS], name)]
    if of_names:
        return of_names[0]
    raise DataSetError(
        f"{path}: cannot tell paths from labels in {shown_line(lines[0])!r}; write lines such as clips/a.mp4,run "
        f"(separators: {', '.join(_SEPARATORS)}), or a header such as path,label first"
    )


def _is_list_of_names(lines: list[str], separator: str) -> bool:
    """Whether each line is a name that no other line has, and a label: ``34870;Drumming Fingers``.

    Or it is a name and several numbers, as in the lists of folders of frames: ``v_run_g01 120 3``.
    """
    rows = [split_name(line) or () if separator == "space" else _cells_of(line, separator) for line in lines]
    if {len(cells) for cells in rows} != {2}:
        return False
    names = {cells[0] for cells in rows}
    if separator == "space" and len(names) == len(rows) and all(" " in cells[1] for cells in rows):
        return True  # a number of frames and a label
    return name_column(rows) is not None


def name_column(rows: Sequence[Sequence[Cell]]) -> int | None:
    """Return the column of names in rows of two cells: the first one without repetitions; None if there is none."""
    return next((column for column in (0, 1) if len({cells[column] for cells in rows}) == len(rows)), None)


def _is_header(cells: tuple[str, ...]) -> bool:
    return is_header(cells, KNOWN_COLUMNS)


def _known_columns(cells: tuple[str, ...]) -> int:
    """Number of known names in a row, if it is a header."""
    return sum(is_known_column(column_name(cell)) for cell in cells) if _is_header(cells) else 0


def _fitting_share(lines: list[str], separator: str) -> float:
    """Share of the lines that have the commonest number of cells, two or more, and a video in one of them."""
    rows = [cells for line in lines if (cells := _cells_of(line, separator))]
    widths = [len(cells) for cells in rows]
    width = max(set(widths), key=widths.count, default=0)
    fitting = [cells for cells in rows if len(cells) == width and any(map(is_video_name, cells))]
    return len(fitting) / len(rows) if width >= 2 else 0.0


def _cells_of(line: str, separator: str) -> tuple[str, ...]:
    """Cells of a line by itself, whatever its quotes."""
    return _split_at_space(line) if separator == "space" else first_row(line, separator)


def _space_rows(text: str) -> list[TextRow]:
    lines = [(number, line) for number, line in enumerate(split_lines(text), start=1) if line.strip()]
    header = _split_at_space(lines[0][1])
    width = len(header) if _is_header(header) else 2
    by_name = width == 2 and all(split_name(line) for _, line in lines) and not split_after_video(lines[0][1])
    return [TextRow(number, (by_name and split_name(line)) or _split_at_space(line, width)) for number, line in lines]


def _split_at_space(line: str, width: int = 2) -> tuple[str, ...]:
    """Split a line into a path, which may hold spaces, and the rest; a header into all its names."""
    pair = split_after_video(line)
    if pair and width == 2:
        return (pair[0], pair[1].strip('"'))
    if pair:
        return (pair[0], *pair[1].split(maxsplit=width - 2))
    words = tuple(line.split())
    return words if _is_header(words) else tuple(line.rsplit(maxsplit=width - 1))


def _is_unknown_header(rows: list[TextRow]) -> bool:
    """Whether the first row is the only one without a video."""
    holds = [any(map(is_video_name, row.cells)) for row in rows]
    return len(rows) > 1 and not holds[0] and all(holds[1:])


def _check_widths(path: Path, rows: list[TextRow], header: tuple[str, ...] | None, separator: str) -> None:
    widths = [len(row.cells) for row in rows]
    expected = len(header) if header else max(widths, key=widths.count)
    for row in rows:
        if len(row.cells) != expected:
            columns = "1 column" if len(row.cells) == 1 else f"{len(row.cells)} columns"
            raise DataSetError(
                f"{path}, line {row.line}: {columns} where {expected} are expected, with {separator} as separator "
                f"(another separator in this line? a {separator} within a name needs quotes around it)"
            )
