"""How a download tells of its progress; the terminal's bar lives in ``commands/``."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Something that shows how many bytes have come.

    ``start`` may be called again without ``finish`` in between: the download began anew, and so does the
    count.
    """

    def start(self, description: str, total_bytes: int | None) -> None:
        """Begin a bar; ``total_bytes`` is None where it is not known how much will come."""

    def advance(self, size_bytes: int) -> None:
        """Count ``size_bytes`` more bytes; the first call after a resumed download counts what was there."""

    def finish(self) -> None:
        """End the bar, whether the download was completed or not."""


class NoProgress:
    """A :class:`Progress` that shows nothing."""

    def start(self, description: str, total_bytes: int | None) -> None:
        """Do nothing."""

    def advance(self, size_bytes: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
