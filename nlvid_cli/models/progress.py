"""How downloads report their progress. The terminal's bar is in ``commands/progress.py``."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a download.

    ``start`` may be called again without ``finish`` in between: the download, and its count, start over.
    """

    def start(self, description: str, total_bytes: int | None) -> None:
        """Begin a download of ``total_bytes``, or of unknown size if None."""

    def advance(self, size_bytes: int) -> None:
        """Add ``size_bytes``. In a resumed download, the first call counts what had arrived before."""

    def finish(self) -> None:
        """End the download, complete or not."""


class NoProgress:
    """A :class:`Progress` that ignores everything."""

    def start(self, description: str, total_bytes: int | None) -> None:
        """Do nothing."""

    def advance(self, size_bytes: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
