"""Ways to damage a file: as broken transfers and disks do, and as somebody does who knows the format."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from random import Random

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]
"""Takes a source of chance, the content of a file, and those of all seeds; returns the damaged content."""

HEADER_BYTES = 1024
"""Where most of the fields lie that matter. Half of all changes go there."""


def _place(rng: Random, data: bytes) -> int:
    return rng.randrange(max(1, min(len(data), HEADER_BYTES) if rng.random() < 0.5 else len(data)))


def _range(rng: Random, data: bytes) -> tuple[int, int]:
    """A range of 1 byte to all of the file; short ones are as likely as long ones."""
    length = round(2 ** rng.uniform(0, max(1, len(data)).bit_length()))
    start = _place(rng, data)
    return start, min(len(data), start + length)


def _write(data: bytes, start: int, new: bytes) -> bytes:
    return (data[:start] + new + data[start + len(new) :])[: len(data)]


def flip_bits(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Flip 1 to 64 bits."""
    damaged = bytearray(data)
    for _ in range(round(2 ** rng.uniform(0, 6))):
        damaged[_place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut_tail(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Keep a beginning of any length: a download that broke off."""
    return data[: round(2 ** rng.uniform(0, len(data).bit_length()))]


def cut_head(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Lose a beginning of any length."""
    return data[round(2 ** rng.uniform(0, len(data).bit_length())) :] or data[-1:]


def cut_middle(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Lose a part."""
    start, end = _range(rng, data)
    return data[:start] + data[end:] or data[:1]


def swap_chunks(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Exchange two neighbouring parts."""
    start, middle, end = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def repeat_chunk(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Have a part twice."""
    start, end = _range(rng, data)
    return data[:end] + data[start:end] + data[end:]


def zero_range(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Lose a part to zeros: a hole on a disk, or a download that never came."""
    start, end = _range(rng, data)
    return data[:start] + bytes(end - start) + data[end:]


def garbage_range(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Lose a part to other bytes."""
    start, end = _range(rng, data)
    return data[:start] + rng.randbytes(end - start) + data[end:]


def set_fields(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Set 1 to 8 fields of 1, 2, 4 or 8 bytes to 0, 1, the maximum, or beside it, in either byte order."""
    for _ in range(round(2 ** rng.uniform(0, 3))):
        size = rng.choice((1, 2, 4, 4, 8))
        most = (1 << 8 * size) - 1
        value = rng.choice((0, 0, 1, most, most, most - 1, most >> 1, (most >> 1) + 1))
        data = _write(data, _place(rng, data), value.to_bytes(size, rng.choice(("big", "little"))))
    return data


def join(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Put a file after another: the same one, one of any kind, or junk before or after."""
    junk = rng.randbytes(rng.randrange(1, 2000))
    return rng.choice((data + data, data + rng.choice(others), rng.choice(others) + data, junk + data, data + junk))


def splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Go on with another file in the middle."""
    other = rng.choice(others)
    return data[: rng.randrange(1, len(data) + 1)] + other[rng.randrange(len(other)) :]


def damage_box(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Change the size, the kind, the count or the place of a box of an MP4 file (ISO/IEC 14496-12)."""
    boxes = list(_boxes(data, 0, len(data)))
    if not boxes:
        return set_fields(rng, data, others)
    start, size = rng.choice(boxes)
    extreme = rng.choice((0, 1, 2, 7, 8, size - 1, size + 1, 0x7FFFFFFF, 0xFFFFFFFF))
    field = struct.pack(">I", max(0, extreme))
    long_size = struct.pack(">I4sQ", 1, data[start + 4 : start + 8], 1 << rng.randrange(32, 64))
    return rng.choice((
        _write(data, start, field),
        _write(data, start + 4, rng.choice((b"free", b"mdat", b"moov", b"trak", b"stsd", b"uuid", b"\0\0\0\0"))),
        data[:start] + long_size + data[start + 8 :],
        _write(data, start + 8, field),  # version and flags, or the first field
        _write(data, start + 12, field),  # the number of entries in most tables
        _write(data, start + 8 + 4 * rng.randrange(1 + max(0, size - 8) // 4), field),
        data[:start] + data[start + size :],
        data[: start + size] + data[start : start + size] + data[start + size :],
    )) or data[:1]  # fmt: skip


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and size of the boxes in a range, and of those in them."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end or not kind.isalnum():
            return
        yield start, size
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf", b"udta", b"dinf"):
            yield from _boxes(data, start + 8, start + size)
        elif kind == b"stsd":
            yield from _boxes(data, start + 16, start + size)
        start += size


def damage_element(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Change the size or the content of an element of a Matroska file (RFC 8794)."""
    elements = list(_elements(data, 0, len(data))) if data.startswith(b"\x1a\x45\xdf\xa3") else []
    if not elements:
        return set_fields(rng, data, others)
    start, size_start, content, end = rng.choice(elements)
    width = content - size_start
    mark = 1 << 7 * width
    size = rng.choice((0, 1, end - content - 1, end - content + 1, mark - 2, mark - 1, mark >> 1))
    new_size = (mark | max(0, size) & (mark - 1)).to_bytes(width, "big")
    return rng.choice((
        _write(data, size_start, new_size),
        _write(data, content, bytes(min(8, end - content))),
        _write(data, content, b"\xff" * min(8, end - content)),
        data[:start] + data[end:],
        data[:end] + data[start:end] + data[end:],
    )) or data[:1]  # fmt: skip


MASTERS = frozenset({
    0x1A45DFA3, 0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0xAE, 0xE0, 0x55B0, 0xBB, 0xB7,
    0xA0,
})  # fmt: skip
"""Elements that hold elements: EBML, Segment, SeekHead, Info, Tracks, Cluster, Cues, and smaller ones."""


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield where elements, their sizes and their contents start, and where they end; those within others, too."""
    while start < end:
        size_start = start + 9 - data[start].bit_length()
        if size_start >= end or size_start > start + 4:
            return
        width = 9 - data[size_start].bit_length()
        content = size_start + width
        if content > end or width > 8:
            return
        size = int.from_bytes(data[size_start:content], "big") & ((1 << 7 * width) - 1)
        stop = end if size == (1 << 7 * width) - 1 else content + size
        if stop > end:
            return
        yield start, size_start, content, stop
        if int.from_bytes(data[start:size_start], "big") in MASTERS:
            yield from _elements(data, content, stop)
        start = stop


def several(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Damage a file in 2 to 4 of these ways."""
    for _ in range(rng.randrange(2, 5)):
        data = rng.choice(SINGLE)(rng, data, others)
    return data


SINGLE: tuple[Mutation, ...] = (
    *(flip_bits, cut_tail, cut_head, cut_middle, swap_chunks, repeat_chunk, zero_range, garbage_range),
    *(set_fields, join, splice),
)
MUTATIONS: dict[str, Mutation] = {
    **{mutation.__name__: mutation for mutation in SINGLE},
    **{mutation.__name__: mutation for mutation in (damage_box, damage_element, several)},
}
"""All ways by name. Those that know a format are only used for it."""


def mutations_for(data: bytes) -> list[str]:
    """Return the names of the ways to damage a file of this kind; its own one counts three times."""
    if data[4:8] == b"ftyp" or data[4:8] in (b"moov", b"wide", b"mdat"):
        return [*sorted(set(MUTATIONS) - {"damage_element"}), "damage_box", "damage_box"]
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return [*sorted(set(MUTATIONS) - {"damage_box"}), "damage_element", "damage_element"]
    return [*sorted(set(MUTATIONS) - {"damage_box", "damage_element"})]
