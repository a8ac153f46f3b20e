"""Lines of a text file that people wrote with all kinds of programs."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from nlvid_cli.errors import DataSetError

MAX_TABLE_BYTES = 1 << 30
"""Larger than any table of videos: Kinetics-700 has 30 MB."""

_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_lines(path: Path) -> list[str]:
    """Lines without their ends; the first one is line 1 of the file.

    UTF-8, or UTF-16 with a byte order mark (as spreadsheets save "Unicode text"); lines end in LF, CRLF or CR.

    Raises:
        DataSetError: the file cannot be read, or is no text.
    """
    text = _decode(path, _read_bytes(path)).replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text.strip() else []


def parse_json(text: str, where: str) -> Any:
    """What a JSON text says.

    Raises:
        DataSetError: it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{where}: this is not JSON ({error})") from None


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise DataSetError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MAX_TABLE_BYTES:
        raise DataSetError(f"{path}: too large for a table of labelled videos (more than 1 GiB)")
    return content


def _decode(path: Path, content: bytes) -> str:
    mark, encoding = next(
        ((mark, name) for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), (b"", "utf-8")
    )
    if not mark and b"\0" in content:
        raise DataSetError(f"{path}: not a text file (name a folder of classes, or a CSV, TSV or JSONL file)")
    content = content[len(mark) :]
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataSetError(
            f"{path}, line {line}: not UTF-8 text (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None
