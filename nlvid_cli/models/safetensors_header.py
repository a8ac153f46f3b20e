"""The header of a safetensors file, checked before the library reads it.

The file begins with the length of its header (8 bytes, little endian) and the header, a JSON object: for each tensor by
name its ``dtype``, ``shape`` and ``data_offsets``, and texts in ``__metadata__``. The library takes any number of
tensors, and types that neither numpy nor torch can compute with. Format: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

from pathlib import Path

from nlvid_cli.errors import ModelFileError, UnsafeFile
from nlvid_cli.system.strict_json import JsonError, parse_json

MAX_TENSORS = 100_000
"""The largest published networks for videos have about a thousand."""

MAX_HEADER_BYTES = 100_000_000
"""Limit of the library."""

TYPES = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "BF16", "F16", "F32", "F64")
"""Types of plain numbers. The library has more, such as F4, and torch cannot compute with most of these."""


def check_header(path: Path, where: str) -> None:
    """Check the number of tensors in a file, and their types.

    Args:
        path: A safetensors file.
        where: Its name, for messages.

    Raises:
        ModelFileError: The header is not JSON, or a tensor is of a type other than :data:`TYPES`.
        UnsafeFile: There are more than :data:`MAX_TENSORS`.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= MAX_HEADER_BYTES else b""
    if header.count(b"{") > 2 * MAX_TENSORS:  # quicker than to parse it; a card in it may hold some, too
        raise _too_many(where)
    if not header:  # the library refuses it
        return
    try:
        entries = parse_json(header)
    except JsonError as error:
        raise _damaged(where, f"the header is not JSON: {error}") from None
    if not isinstance(entries, dict):
        raise _damaged(where, "the header is not an object")
    entries.pop("__metadata__", None)
    if len(entries) > MAX_TENSORS:
        raise _too_many(where)
    for name, entry in entries.items():
        kind = entry.get("dtype") if isinstance(entry, dict) else None
        if not isinstance(kind, str):
            raise _damaged(where, f"the tensor {name[:80]!r} has no type")
        if kind not in TYPES:
            raise ModelFileError(
                f"{where}: the tensor {name[:80]!r} is of the type {kind[:20]!r}, which nlvid does not read; "
                f"the types are {', '.join(TYPES)}"
            )


def _damaged(where: str, what: str) -> ModelFileError:
    return ModelFileError(f"{where}: damaged, or not a readable safetensors file ({what}); download the file again")


def _too_many(where: str) -> UnsafeFile:
    return UnsafeFile(f"{where}: more than {MAX_TENSORS} tensors, far more than any network for videos has")
