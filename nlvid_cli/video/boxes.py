"""Boxes of the MP4 family of files (ISO/IEC 14496-12, section 4.2; QuickTime calls them atoms)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof", b"sidx"})
"""Kinds of boxes with which such a file begins."""

ENCRYPTED_ENTRIES = frozenset({b"encv", b"drmi"})
"""Sample entries of encrypted video: Common Encryption (ISO/IEC 23001-7) and Apple's FairPlay."""

MOST_BOXES = 200_000
"""Boxes to look at side by side. A recording of a day in fragments of a second has about as many; a file of nothing but
empty boxes would take minutes."""

STSD_HEADER_BYTES = 8
"""Version, flags and the number of entries, before the first entry of an ``stsd`` box."""


class Seekable(Protocol):
    """A file to read from any place, local or remote."""

    def seek(self, offset: int, whence: int = ..., /) -> int: ...  # noqa: D102

    def read(self, size: int = ..., /) -> bytes: ...  # noqa: D102


@dataclass(frozen=True)
class Box:
    """A box: its kind, four bytes, and where its content begins and ends in the file."""

    kind: bytes
    start: int
    end: int


def size_of(file: Seekable) -> int:
    """Return the size of a file in bytes."""
    return file.seek(0, io.SEEK_END)


def is_mp4(file: Seekable) -> bool:
    """Whether a file begins with a box of the MP4 family."""
    file.seek(4)
    return file.read(4) in FIRST_BOXES


def boxes(file: Seekable, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets.

    Args:
        file: The file; it is moved.
        start: Offset of the first box.
        end: Offset behind the last box. A box that claims to end later is the last one, and keeps its claim.

    Yields:
        At most :data:`MOST_BOXES`; those behind a damaged one are not found.
    """
    end = min(end, size_of(file))
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1 and len(head) == 16:
            size, header = struct.unpack_from(">Q", head, 8)[0], 16
        elif size == 0:  # up to the end
            size = end - start
        if size < header:
            return
        yield Box(kind, start + header, start + size)
        start += size


def find_boxes(file: Seekable, box: Box, *path: bytes) -> Iterator[Box]:
    """Yield the boxes at a path of kinds below a box, such as ``b"mdia", b"minf"``."""
    for inner in boxes(file, box.start, box.end):
        if inner.kind == path[0]:
            if len(path) == 1:
                yield inner
            else:
                yield from find_boxes(file, inner, *path[1:])


def is_encrypted_track(file: Seekable, track_id: int) -> bool:
    """Whether the MP4 file declares a track to be encrypted.

    Args:
        file: The file.
        track_id: Number of the track in its header; 0 asks whether any video track is encrypted.
    """
    for top in boxes(file, 0, size_of(file)):
        if top.kind == b"moov":
            for track in find_boxes(file, top, b"trak"):
                if track_id in (0, _track_id(file, track)) and _entries(file, track) & ENCRYPTED_ENTRIES:
                    return True
    return False


def _track_id(file: Seekable, track: Box) -> int | None:
    """Number of a track: behind two times, of four or of eight bytes (``tkhd``, ISO/IEC 14496-12, 8.3.2)."""
    for header in find_boxes(file, track, b"tkhd"):
        file.seek(header.start)
        content = file.read(24)
        if len(content) == 24:
            number: int = struct.unpack_from(">I", content, 20 if content[0] == 1 else 12)[0]
            return number
    return None


def _entries(file: Seekable, track: Box) -> set[bytes]:
    """Kinds of the sample entries of a track."""
    descriptions = find_boxes(file, track, b"mdia", b"minf", b"stbl", b"stsd")
    return {
        entry.kind
        for description in descriptions
        for entry in boxes(file, description.start + STSD_HEADER_BYTES, description.end)
    }
