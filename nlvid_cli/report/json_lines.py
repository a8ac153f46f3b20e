"""JSON and JSON Lines: the values of ``nlvid_cli.recognize``, key for key; see ``docs/json.md``."""

from __future__ import annotations

import json
from typing import Any, Protocol, TextIO


class Record(Protocol):
    """A result that can be written as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON as plain values."""


class JsonLinesRenderer:
    """Writes one object per line, and flushes it at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, result: Record, elapsed_seconds: float) -> None:
        """Write one line."""
        self._stream.write(json.dumps(result.to_dict()) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: there is no footer."""


class JsonRenderer:
    """Writes an array of objects, or a single object if the user named exactly one video."""

    def __init__(self, stream: TextIO, single: bool) -> None:
        self._stream = stream
        self._single = single
        self._count = 0

    def add(self, result: Record, elapsed_seconds: float) -> None:
        """Write one object."""
        if not self._single:
            self._stream.write(",\n" if self._count else "[\n")
        self._stream.write(json.dumps(result.to_dict(), indent=2))
        self._count += 1

    def close(self) -> None:
        """Close the array, also after an interruption, so that the JSON is valid."""
        if not self._single:
            self._stream.write("\n]" if self._count else "[]")
        self._stream.write("\n" if self._count or not self._single else "")
        self._stream.flush()
