"""File objects that are read from any place: what all of them share."""

from __future__ import annotations

import io


class PositionedFile(io.RawIOBase):
    """A file of a known size with a position; what is read is decided by ``read`` of each kind.

    Attributes:
        size_bytes: Size of the file.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start, from here, or from the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        self._position = max(0, start + offset)
        return self._position
