"""CSV after RFC 4180, but with the line ends of Unix."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TextIO


class _LineFeeds:
    """Takes lines that end as the RFC says, since only then Python 3.11 quotes a carriage return within a cell."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")


def csv_writer(stream: TextIO, columns: Sequence[str]) -> csv.DictWriter[str]:
    """Writes rows to ``stream``, the header at once; cells that a row lacks stay empty."""
    rows = csv.DictWriter(_LineFeeds(stream), columns, restval="")
    rows.writeheader()
    return rows
