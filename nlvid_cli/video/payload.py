"""Where the pictures and sounds of a file lie, so that its index can be read without them.

FFmpeg reports nothing about a packet without reading all of it. For MP4 and Matroska the places of the content are
found first, and FFmpeg is shown zeros there. What it reports is the same: times, sizes and key frames stand elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from nlvid_cli.video.boxes import Seekable, boxes, is_mp4, size_of
from nlvid_cli.video.positioned import PositionedFile

MIN_FILE_BYTES = 1 << 22
"""Size from which a file's index is read on its own. A smaller file is read faster than it is opened twice."""

MIN_BLOCK_BYTES = 8192
"""Mean size of Matroska's blocks from which skipping their content is faster than reading it."""

SAMPLED_BLOCKS = 1000
"""Blocks after which the mean size is known."""

KEPT_BYTES = 16
"""Bytes of a Matroska block that are kept: track, time, flags, and the first bytes of the frame (VP8 hides frames)."""

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT, CLUSTER, BLOCK_GROUP, BLOCK, SIMPLE_BLOCK = 0x18538067, 0x1F43B675, 0xA0, 0xA1, 0xA3
TRACKS, TRACK_ENTRY, CONTENT_ENCODINGS = 0x1654AE6B, 0xAE, 0x6D80
PARENTS = frozenset({CLUSTER, BLOCK_GROUP, TRACKS, TRACK_ENTRY})
"""Elements of Matroska (RFC 9559, section 5.1). Those that hold others are entered."""

LACING = 0x06
"""Bits of a block's flags: several frames in one block, whose sizes stand at its beginning (RFC 9559, 10.3)."""

Ranges = list[tuple[int, int]]
"""Offsets at which content begins and ends, ascending."""


def payload_of(file: Seekable, is_remote: bool = False) -> Ranges | None:
    """Find the content of an MP4 or Matroska file.

    Args:
        file: The file; it is moved. A local one should be unbuffered, since a few bytes are read at many places.
        is_remote: Whether a read fetches a whole block of the file. Then only MP4 files have their content apart.

    Returns:
        Where the content lies; None if the file is of another kind, is cut off, needs its content to be understood, or
        is read faster as a whole.
    """
    try:
        if is_mp4(file):
            return _mp4_payload(file) if is_remote or size_of(file) >= MIN_FILE_BYTES else None
        return None if is_remote or size_of(file) < MIN_FILE_BYTES else _matroska_payload(file)
    except _Unknown:
        return None


class WithoutPayload(PositionedFile):
    """A file whose content reads as zeros; only the rest of it is ever read."""

    def __init__(self, file: Seekable, payload: Ranges) -> None:
        """Wrap a file; it stays open when this is closed."""
        super().__init__(size_of(file))
        self._file = file
        self._starts = [start for start, _ in payload]
        self._ends = [end for _, end in payload]

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end."""
        begin = self._position
        end = self.size_bytes if size < 0 else min(begin + size, self.size_bytes)
        read = bytearray(max(0, end - begin))
        for start, stop in self._kept(begin, end):
            self._file.seek(start)
            part = self._file.read(stop - start)
            read[start - begin : start - begin + len(part)] = part
        self._position = max(begin, end)
        return bytes(read)

    def _kept(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the parts between two offsets that are not content."""
        number = bisect_right(self._ends, begin)
        while begin < end:
            start = self._starts[number] if number < len(self._starts) else end
            if begin < start:
                yield begin, min(start, end)
            begin = max(begin, self._ends[number]) if number < len(self._ends) else end
            number += 1


class _Unknown(Exception):
    """The content of the file cannot be told from the rest."""


def _mp4_payload(file: Seekable) -> Ranges:
    """Content of all ``mdat`` boxes; the index has everything about packets but their content."""
    size_bytes = size_of(file)
    found = list(boxes(file, 0, size_bytes))
    if b"moov" not in {box.kind for box in found} or found[-1].end != size_bytes:
        raise _Unknown
    return [(box.start, box.end) for box in found if box.kind == b"mdat"]


def _matroska_payload(file: Seekable) -> Ranges:
    """Frames of all blocks, but not their first bytes."""
    file.seek(0)
    if file.read(4) != EBML:
        raise _Unknown
    payload: Ranges = []
    for position, end in _blocks(file):
        if end - position > KEPT_BYTES and _is_one_frame(file, position):
            payload.append((position + KEPT_BYTES, end))
        if len(payload) == SAMPLED_BLOCKS and end - payload[0][0] < SAMPLED_BLOCKS * MIN_BLOCK_BYTES:
            raise _Unknown
    return payload


def _blocks(file: Seekable) -> Iterator[tuple[int, int]]:
    """Yield where each block of a Matroska file begins and ends."""
    size_bytes = size_of(file)
    ends = [size_bytes]
    position = 0
    while position < size_bytes:
        while position >= ends[-1]:
            ends.pop()
        kind, start, end = _element(file, position)
        if kind == CONTENT_ENCODINGS:  # compressed: FFmpeg needs the content
            raise _Unknown
        if kind in PARENTS or (kind == SEGMENT and len(ends) == 1):
            ends.append(min(end, ends[-1]))
            position = start
            continue
        if end > size_bytes:
            raise _Unknown
        if kind in (BLOCK, SIMPLE_BLOCK):
            yield start, end
        position = end


def _element(file: Seekable, position: int) -> tuple[int, int, int]:
    """Return kind, start and end of the content of the element at an offset (RFC 8794, section 4)."""
    file.seek(position)
    head = file.read(12)
    kind_bytes = _length_of_number(head[:1])
    size_length = _length_of_number(head[kind_bytes : kind_bytes + 1])
    start = kind_bytes + size_length
    if kind_bytes > 4 or start > len(head):
        raise _Unknown
    size = int.from_bytes(head[kind_bytes:start]) & ((1 << 7 * size_length) - 1)
    if size == (1 << 7 * size_length) - 1:  # unknown, as in live streams
        raise _Unknown
    return int.from_bytes(head[:kind_bytes]), position + start, position + start + size


def _length_of_number(first: bytes) -> int:
    """Return the bytes of a number of variable length, by the zeros before the first one of its first byte."""
    if not first or not first[0]:
        raise _Unknown
    return 9 - first[0].bit_length()


def _is_one_frame(file: Seekable, position: int) -> bool:
    """Whether a block holds one frame, by the flags after its track number and its time."""
    file.seek(position)
    head = file.read(12)
    flags = _length_of_number(head[:1]) + 2
    return len(head) > flags and not head[flags] & LACING
