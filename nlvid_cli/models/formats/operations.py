"""Read the operations of a pickle without executing any of them."""

from __future__ import annotations

import pickletools
import struct
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING  # what pickle itself uses for protocols of Python 2
from collections.abc import Iterator
from typing import NamedTuple

from nlvid_cli.errors import ModelFileError, UnsafeFile

MAX_OPERATIONS = 2_000_000
"""Published checkpoints have up to some ten thousand. Each may take a hundred bytes of memory."""

MAX_LINE = 4096
"""Bytes of a line, which is the name of a module or function."""

WHOLE_MODEL = (
    "if it is a whole model, save its weights alone where its code is installed: "
    "torch.save(model.state_dict(), 'weights.pth')"
)
"""What to do with a pickle of objects."""

_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: struct.Struct("<B"),
    pickletools.TAKEN_FROM_ARGUMENT4: struct.Struct("<i"),
    pickletools.TAKEN_FROM_ARGUMENT4U: struct.Struct("<I"),
    pickletools.TAKEN_FROM_ARGUMENT8U: struct.Struct("<Q"),
}
_CODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_TWO_LINES = ("GLOBAL", "INST")


class Operation(NamedTuple):
    """One operation.

    Attributes:
        name: Its name in ``pickletools``.
        argument: Its bytes if they are few (numbers, or lines without their last line break), else empty.
        end: Offset in the data of what follows.
    """

    name: str
    argument: bytes
    end: int


def operations(data: memoryview, name: str, start: int = 0) -> Iterator[Operation]:
    """Yield the operations of a pickle, up to STOP, and ignore what follows.

    Args:
        data: Bytes that contain the pickle.
        name: Name of the file, for messages.
        start: Offset of the pickle in ``data``.

    Raises:
        ModelFileError: An operation is unknown, or the data ends in it.
        UnsafeFile: There are more than :data:`MAX_OPERATIONS`.
    """
    end = start
    for _ in range(MAX_OPERATIONS):
        opcode = _CODES.get(data[end]) if end < len(data) else None
        if opcode is None:
            raise _damaged(name, "it ends without STOP" if end >= len(data) else f"operation {data[end]}")
        size = 0 if opcode.arg is None else opcode.arg.n
        begin = end + 1
        if size == pickletools.UP_TO_NEWLINE:
            end = _end_of_lines(data, begin, 2 if opcode.name in _TWO_LINES else 1, name)
        elif size < 0:
            prefix = _LENGTHS[size]
            length = prefix.unpack(data[begin : begin + prefix.size])[0] if begin + prefix.size <= len(data) else -1
            if not 0 <= length <= len(data) - begin - prefix.size:
                raise _damaged(name, f"{opcode.name} of {length} bytes")
            begin = end = begin + prefix.size + length
        else:
            end = begin + size
        if end > len(data):
            raise _damaged(name, f"{opcode.name} is cut off")
        yield Operation(opcode.name, bytes(data[begin:end]), end)
        if opcode.name == "STOP":
            return
    raise UnsafeFile(f"{name}: the pickle has more than {MAX_OPERATIONS} operations, far more than any checkpoint")


def global_of(operation: Operation) -> str:
    """Return ``module.name`` of a GLOBAL or an INST, in Python 3's spelling."""
    module, _, attribute = operation.argument.decode("utf-8", "replace").rstrip("\n").partition("\n")
    if (module, attribute) in NAME_MAPPING:
        module, attribute = NAME_MAPPING[module, attribute]
    return f"{IMPORT_MAPPING.get(module, module)}.{attribute}"


def refused_global(name: str) -> str:
    """Say that a file asks for a class or function, and what to do if the file is a whole model.

    Args:
        name: ``module.name``.
    """
    said = f"asks for {name}, which nlvid does not execute"
    return said if name.partition(".")[0] in sys.stdlib_module_names else f"{said}; {WHOLE_MODEL}"


def _end_of_lines(data: memoryview, start: int, count: int, name: str) -> int:
    for _ in range(count):
        length = bytes(data[start : start + MAX_LINE]).find(b"\n")
        if length < 0:
            raise _damaged(name, "a line without an end")
        start += length + 1
    return start


def _damaged(name: str, what: str) -> ModelFileError:
    return ModelFileError(f"{name}: the pickle is damaged or cut off ({what}); download the file again")
