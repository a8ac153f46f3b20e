"""JSON from outside: old outputs, notes in caches and run folders, tables, texts in model files.

RFC 8259 leaves open how deep values are nested, how large numbers are, and what a repeated key means. Programs differ,
and Python's own parser ends in a RecursionError. Here all of that is refused, with one error.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Values within values. What nlvid writes has at most 6."""

_LARGEST_INTEGER = 2**64
_INTEGER_LETTERS = 20

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[{]+|[\]}]+")

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Half of a character. U+DC80 to U+DCFF stand for bytes of file names that are not UTF-8, as in Python."""


class JsonError(ValueError):
    """A text is not JSON, or not JSON that every program reads alike."""


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text from outside.

    Args:
        text: The text, as bytes in UTF-8.

    Returns:
        Values no more than :data:`MAX_DEPTH` deep, with integers of 64 bits, finite numbers, and texts that can be
        encoded in UTF-8 with ``surrogateescape``.

    Raises:
        JsonError: The text is anything else, or an object has a key twice.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text
        _check_depth(text)
        value = _DECODER.decode(text)
        if _ESCAPED_SURROGATE.search(text):
            _check_texts(value)
    except JsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonError(str(error)) from None
    return value


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # nearly always
        return
    depth = 0
    for match in _BRACKETS.finditer(_TEXT.sub("", text)):
        depth += len(match[0]) if match[0][0] in "[{" else -len(match[0])
        if depth > MAX_DEPTH:
            raise JsonError(f"values nested more than {MAX_DEPTH} deep")


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if _LONE_SURROGATE.search(value):
            raise JsonError("half of a character (a lone surrogate)")
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)


def _integer(text: str) -> int:
    if len(text) <= _INTEGER_LETTERS and abs(number := int(text)) < _LARGEST_INTEGER:
        return number
    raise JsonError("an integer of more than 64 bits")


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError("a number too large for any program")
    return number


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a number in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in members if keys.count(key) > 1)
        raise JsonError(f"the key {repeated[:40]!r} occurs twice")
    return members


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant, strict=True
)
