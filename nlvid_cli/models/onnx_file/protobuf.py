"""The wire format of Protocol Buffers, as far as it takes to look into a file before another program reads it.

A message is a row of fields, each with its number and one of four wire types (https://protobuf.dev/programming-guides/
encoding). Nothing is copied and nothing is believed: a length that leads out of its message is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. Groups (3 and 4) have not been in use since 2008."""

MAX_FIELDS = 2**17
"""Fields in one message. Empty ones take two bytes of a file, and a hundred times that to look at."""

Value = int | memoryview

Parts = Mapping[int, Sequence[Value]]
"""The values of a message's fields, by their numbers."""


class WireError(ValueError):
    """The bytes are no message."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: an integer, or the bytes of a string, a message or packed numbers.

    Raises:
        WireError: the bytes are no message, or one of more than :data:`MAX_FIELDS` fields.
    """
    place, end, count = 0, len(message), 0
    while place < end:
        count += 1
        if count > MAX_FIELDS:
            raise WireError(f"a part of it has more than {MAX_FIELDS} fields")
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if not 0 < number < 2**29:  # of a larger one, other programs drop the upper digits
            raise WireError(f"a field has the number {number} at byte {place}")
        if kind == VARINT:
            value, place = _varint(message, place)
            yield number, value
        elif kind == BYTES:
            length, place = _varint(message, place)
            if length > end - place:
                raise WireError(f"field {number} at byte {place} is {length} bytes long, and {end - place} are left")
            yield number, message[place : place + length]
            place += length
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
            if length > end - place:
                raise WireError(f"field {number} at byte {place} is cut off")
            yield number, message[place : place + length]
            place += length
        else:
            raise WireError(f"field {number} at byte {place} has the wire type {kind}, which is none")


def parts_of(message: memoryview, *once: int) -> dict[int, list[Value]]:
    """The values of each field, by its number.

    Args:
        message: the bytes.
        once: numbers of fields that must not be there twice: some programs take the first one, and others the last.

    Raises:
        WireError: the bytes are no message, or one of those fields is there twice.
    """
    parts: dict[int, list[Value]] = {}
    for number, value in fields(message):
        if number in parts and number in once:
            raise WireError(f"field {number} is there twice")
        parts.setdefault(number, []).append(value)
    return parts


def integers(value: Value) -> Iterator[int]:
    """The signed 64-bit integers of one field, which may be a single one or packed ones."""
    if isinstance(value, int):
        yield _signed(value)
        return
    place = 0
    while place < len(value):
        number, place = _varint(value, place)
        yield _signed(number)


def text(value: Value, limit: int = 2**16) -> str:
    """A string field.

    Raises:
        WireError: it is no string, longer than ``limit`` bytes, or not UTF-8.
    """
    if isinstance(value, int):
        raise WireError("a number stands where a text should be")
    if len(value) > limit:
        raise WireError(f"a text of {len(value)} bytes; at most {limit} are read")
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise WireError("a text is not UTF-8") from None


def message(value: Value) -> memoryview:
    """A field that is a message itself."""
    if isinstance(value, int):
        raise WireError("a number stands where a message should be")
    return value


def messages_at(parts: Parts, number: int) -> list[memoryview]:
    """The messages in a field that may be there many times."""
    return [message(value) for value in parts.get(number, ())]


def message_at(parts: Parts, number: int) -> memoryview:
    """The message or the bytes in a field; empty where it is not there."""
    return message(parts[number][0]) if number in parts else memoryview(b"")


def number_at(parts: Parts, number: int) -> int:
    """The number in a field; 0 where it is not there, or is none."""
    value = parts[number][0] if number in parts else 0
    return value if isinstance(value, int) else 0


def integers_at(parts: Parts, number: int, most: int) -> list[int]:
    """The first ``most`` integers of a field."""
    return list(islice((entry for value in parts.get(number, ()) for entry in integers(value)), most))


def text_at(parts: Parts, number: int, limit: int = 2**16) -> str:
    """The text in a field; empty where it is not there."""
    return text(parts[number][0], limit) if number in parts else ""


def name_at(parts: Parts, number: int) -> str:
    """The same for a text that messages show, and so a terminal may get."""
    name = text_at(parts, number)
    if not name.isprintable():
        raise WireError(f"the name {name[:80]!r} holds control characters")
    return name


def int64s(raw: memoryview) -> tuple[int, ...]:
    """Raw little-endian 64-bit integers."""
    return struct.unpack(f"<{len(raw) // 8}q", raw[: len(raw) // 8 * 8])


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """The number that begins at ``place``, seven bits a byte, and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise WireError(f"cut off at byte {place}")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 2**64 - 1, place
    raise WireError(f"a number is longer than 64 bits at byte {place}")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
