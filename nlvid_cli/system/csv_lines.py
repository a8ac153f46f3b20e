"""CSV as in RFC 4180, but with Unix line ends; on a terminal, with escapes for what cannot be seen.

Texts are exact, also those that begin with ``=``, ``+``, ``-`` or ``@``, which a spreadsheet takes for formulas:
programs read these tables, nlvid among them, and a changed path leads nowhere.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from nlvid_cli.system.terminal import visible

if TYPE_CHECKING:
    from _csv import Writer


class _LineFeeds:
    """Stream that turns the line ends of the RFC into those of Unix.

    With other line ends, Python 3.11 does not quote a carriage return in a cell.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        line = line.removesuffix("\r\n")
        return self._stream.write((visible(line) if self._stream.isatty() else line) + "\n")


def csv_cells(stream: TextIO) -> Writer:
    """Return a ``csv.writer`` for rows whose columns may have any names, also the same name twice."""
    return csv.writer(_LineFeeds(stream))


def csv_writer(stream: TextIO, columns: Sequence[str]) -> csv.DictWriter[str]:
    """Return a writer of rows, and write the header; cells that a row lacks stay empty."""
    rows = csv.DictWriter(_LineFeeds(stream), columns, restval="")
    rows.writeheader()
    return rows
