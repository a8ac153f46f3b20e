"""Lists without a header whose lines hold numbers behind the path: ``path frames label``, or ``path label label ...``.

TSN, MMAction2 (``rawframes``) and GluonCV write the first form, MMAction2 the second one for several labels. Nothing in
such a file says which form it has, so that its numbers must tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nlvid_cli.errors import DataSetError, Unlabelled

_NUMBERS = re.compile(r"-?\d{1,9}(?:[\s,]+-?\d{1,9})*")

_POINT = re.compile(r"(?<=\d)\.0+(?=\s|$)")

_TEXT_BEHIND_NUMBERS = re.compile(r"((?:\d+(?:\.\d+)?\s+){1,2})(\S.*)")
"""One or two numbers, and a label."""

_NAME_THEN_NUMBERS = re.compile(r"(\S.*?)\s+(\d{1,9}(?:\s+\d{1,9})*)")

Form = Literal["label", "frames", "labels"]
"""One label; a number of frames and a label; several labels."""


@dataclass(frozen=True)
class NumberList:
    """What the numbers behind the paths are.

    Attributes:
        form: Their form.
        numbers: Numbers of each line.
        note: Why this form was taken, if another one is possible.
    """

    form: Form
    numbers: tuple[tuple[str, ...], ...]
    note: str = ""


def read_numbers(cells: Sequence[str], where: str, separator: str = " ") -> NumberList | None:
    """Tell what the numbers behind the paths of a list are; None if there is other text behind a path.

    Args:
        cells: What stands behind the path of each line.
        where: Name of the file, for the note and the error.
        separator: Letter between the cells of a line, for the advice.

    Raises:
        Unlabelled: A number is below 0.
        DataSetError: The numbers can be read in two ways.
    """
    cells = [_POINT.sub("", cell) for cell in cells]
    if not all(map(_NUMBERS.fullmatch, cells)):
        if separator == " ":
            _refuse_numbers_before_text(cells, where)
        return None
    numbers = tuple(tuple(re.split(r"[\s,]+", cell)) for cell in cells)
    if any(number.startswith("-") for line in numbers for number in line):
        raise Unlabelled(f"{where}: holds labels below 0, which test lists have in place of labels")
    counts = {len(line) for line in numbers}
    if counts == {1}:
        return NumberList("label", numbers)
    if counts != {2}:
        if len(counts) > 1 or max(counts) > 3:
            return NumberList("labels", numbers, f"{where}: the numbers behind each path are taken as its labels")
        raise _two_readings(where, numbers[0], "path start_frame end_frame label", separator)
    first, last = ({int(line[place]) for line in numbers} for place in (0, 1))
    if 0 in first:
        return NumberList("labels", numbers, f"{where}: the two numbers behind each path are taken as its labels")
    if min(first) > max(last) or (_are_labels(last) and not _are_labels(first | last)):
        note = (
            f"{where}: the numbers behind each path are taken as its number of frames and its label; if they are two "
            f"labels, write {_labels_header(separator)} into line 1"
        )
        return NumberList("frames", numbers, note)
    raise _two_readings(where, numbers[0], "path frames label", separator)


def _refuse_numbers_before_text(cells: Sequence[str], where: str) -> None:
    """Raise an error if numbers that seem to be frames or times stand before each label.

    They do if nearly every line would have a class of its own with them, or all lines have the same number.
    """
    matches = [match for cell in cells if (match := _TEXT_BEHIND_NUMBERS.fullmatch(cell))]
    if len(matches) < max(len(cells), 2):
        return
    numbers, labels, whole = ({match[group] for match in matches} for group in (1, 2, 0))
    is_many = len(labels) < len(whole) and len(whole) * 2 > len(cells)
    if not (is_many or len(whole) == len(cells) or len(numbers) == 1):
        return
    first = matches[0]
    columns = "path frames label" if len(first[1].split()) == 1 else "path start end label"
    raise DataSetError(
        f"{where}: what stands behind each path can be read in two ways: {first[1].strip()} and the label "
        f'{first[2]!r}; or the label {first[0]!r}; write "{columns}" or "path label" into line 1'
    )


def _are_labels(numbers: set[int]) -> bool:
    """Whether the numbers count from 0 or 1 without a gap, as those of classes do."""
    return min(numbers) in (0, 1) and max(numbers) - min(numbers) + 1 == len(numbers)


def _labels_header(separator: str) -> str:
    return '"path labels"' if separator == " " else f'both into one cell, such as 0|3, and "path{separator}labels"'


def _two_readings(where: str, example: Sequence[str], columns: str, separator: str) -> DataSetError:
    names = columns.split()[1:]
    one = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in zip(names, example, strict=True))
    return DataSetError(
        f"{where}: the numbers behind each path can be read in two ways: {one}; or the labels {' and '.join(example)}; "
        f'write "{columns.replace(" ", separator)}" or {_labels_header(separator)} into line 1'
    )


def split_name(line: str) -> tuple[str, str] | None:
    """Split a line such as ``v_run_g01 120 3`` into a name without the suffix of a video, and its numbers."""
    match = _NAME_THEN_NUMBERS.fullmatch(line.strip())
    return None if match is None else (match[1], match[2])
