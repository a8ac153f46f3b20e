"""Labels that are whole numbers: ``7``, ``07``, and any other spelling of the same value."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence


def decimal_value(text: str) -> str | None:
    """The digits of a whole number without leading zeros; None: it is none.

    Text, since a cell may hold thousands of digits, which Python does not take for a number.
    """
    if not text.isdecimal():
        return None
    return "".join(str(unicodedata.decimal(digit)) for digit in text).lstrip("0") or "0"


def places_by_value(names: Sequence[str]) -> Mapping[str, int]:
    """Index of each whole number among the names; without those that several names share."""
    values = [decimal_value(name) for name in names]
    counts = Counter(values)
    return {value: index for index, value in enumerate(values) if value is not None and counts[value] == 1}


def place_of(name: str, classes: Sequence[str]) -> int | None:
    """The number as a place, from 0, among classes; None: there is no such place, or it is no number.

    Where the classes themselves are called by numbers, these are no places.
    """
    value = decimal_value(name)
    if value is None or len(value) > len(str(len(classes))) or all(one.isdecimal() for one in classes):
        return None
    return int(value) if int(value) < len(classes) else None


def decimal_order(name: str) -> tuple[int, int, str, str]:
    """Sorts numbers by value, before all other names."""
    value = decimal_value(name)
    return (1, 0, "", name) if value is None else (0, len(value), value, name)
