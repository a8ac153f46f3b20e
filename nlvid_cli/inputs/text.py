"""Text files as all kinds of programs write them: UTF-8 or UTF-16, with or without a byte order mark."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Any

from nlvid_cli.errors import DataSetError
from nlvid_cli.system import strict_json

_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_text(path: Path, keep_bytes: bool = False, max_bytes: int | None = None) -> str:
    """Read a text file.

    Args:
        path: Path to the file.
        keep_bytes: Whether to keep bytes that are not UTF-8, as lone surrogates. Paths may hold such bytes.
        max_bytes: Size of the largest file to read; None for any size.

    Raises:
        DataSetError: The file cannot be read, is too large, or is not text.
    """
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            # Python allocates as much as it is asked for, so ask for little more than there is.
            content = file.read(-1 if max_bytes is None else min(max_bytes, size_bytes or max_bytes) + 1)
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read ({error.strerror})") from None
    if max_bytes is not None and len(content) > max_bytes:
        raise DataSetError(f"{path}: too large for a table of videos (more than {max_bytes / 2**30:g} GiB)")
    text = decode_text(content, str(path), keep_bytes)
    if "\0" in text:
        raise DataSetError(f"{path}: not a text file, such as CSV or TSV")
    return text


def decode_text(content: bytes, where: str, keep_bytes: bool = False) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark, which is removed.

    Args:
        content: Bytes of the text.
        where: Name of the file, for errors.
        keep_bytes: Whether to keep bytes that are not UTF-8, as lone surrogates.

    Raises:
        DataSetError: The bytes are not text in these encodings; the error names the line.
    """
    mark = next((mark for mark in _BYTE_ORDER_MARKS if content.startswith(mark)), b"")
    encoding = _BYTE_ORDER_MARKS.get(mark, "utf-8")
    content = content.removeprefix(mark)
    try:
        text = content.decode(encoding, "surrogateescape" if keep_bytes and encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and b"\0" in content:
            raise DataSetError(f"{where}: not a text file, such as CSV or TSV") from None
        line = content.count(b"\n", 0, error.start) + 1
        raise DataSetError(
            f"{where}, line {line}: not {encoding} text (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None
    return text.removeprefix("\ufeff")  # some programs write the mark twice


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, without their ends; the first one is line 1 of the file.

    Lines end in LF, CRLF or CR.

    Raises:
        DataSetError: The file cannot be read, or is not text.
    """
    return split_lines(read_text(path))


def split_lines(text: str) -> list[str]:
    """Split a text at LF, CRLF and CR, and at no other character that Unicode calls a line end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text.strip() else []


def parse_json(text: str, where: str) -> Any:
    """Parse a JSON text.

    Raises:
        DataSetError: The text is not JSON.
    """
    try:
        return strict_json.parse_json(text)
    except strict_json.JsonError as error:
        raise DataSetError(f"{where}: not JSON ({error})") from None
