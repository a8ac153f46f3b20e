"""The fields of a Protocol Buffers message, counted before the message is parsed.

A parser allocates about a hundred bytes for an empty field, which takes two in the file: a hostile file could ask for
fifty times its own size. It may also give a field twice, of which one program believes the first and another the last.
Format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. Groups (3 and 4) have been out of use since 2008."""

MAX_FIELDS = 2**17
"""Fields in one message."""

MAX_ALL_FIELDS = 2**20
"""Fields in a message and all messages in it. The largest published networks have about 50,000."""


class WireError(ValueError):
    """The bytes are not a message."""


def check_fields(data: memoryview, kind: Descriptor) -> None:
    """Walk through the fields of a message and of all messages in it, without copying anything.

    Args:
        data: Bytes of the message.
        kind: Its type.

    Raises:
        WireError: The bytes are not a message, it has too many fields, or a field that may occur once occurs twice.
    """
    total = 0
    messages = [(data, kind)]
    while messages:
        message, kind = messages.pop()
        inner, count = _fields(message, kind)
        messages += inner
        total += count
        if total > MAX_ALL_FIELDS:
            raise WireError(f"it has more than {MAX_ALL_FIELDS} fields")


def _fields(data: memoryview, kind: Descriptor) -> tuple[list[tuple[memoryview, Descriptor]], int]:
    """Return the messages in a message, and the number of its own fields."""
    inner = []
    found: set[int] = set()
    place = count = 0
    while place < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise WireError(f"one message has more than {MAX_FIELDS} fields")
        key, place = _varint(data, place)
        number, wire_type = key >> 3, key & 7
        if not 0 < number < 2**29:  # of a larger one, some programs drop the upper digits
            raise WireError(f"a field has the number {number} at byte {place}")
        start, place = _value(data, place, wire_type)
        repeated, message_type = _field(kind, number)
        if not repeated:
            if number in found:
                raise WireError(f"the field {kind.fields_by_number[number].full_name} occurs twice")
            found.add(number)
        if message_type is not None and wire_type == BYTES:
            inner.append((data[start:place], message_type))
    return inner, count


@lru_cache(maxsize=1024)
def _field(kind: Descriptor, number: int) -> tuple[bool, Descriptor | None]:
    """Return whether a field may occur again, and the type of message in it."""
    field = kind.fields_by_number.get(number)
    return (True, None) if field is None else (field.is_repeated, field.message_type)


def _value(data: memoryview, place: int, wire_type: int) -> tuple[int, int]:
    """Return where a value begins and ends."""
    end = place
    if wire_type == VARINT:
        _, end = _varint(data, place)
    elif wire_type == BYTES:
        length, place = _varint(data, place)
        end = place + length
    elif wire_type in (FIXED32, FIXED64):
        end = place + (4 if wire_type == FIXED32 else 8)
    else:
        raise WireError(f"unknown wire type {wire_type} at byte {place}")
    if end > len(data):
        raise WireError(f"the value at byte {place} is cut off")
    return place, end


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Return the number that begins at ``place``, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise WireError(f"cut off at byte {place}")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise WireError(f"a number is longer than 64 bits at byte {place}")
