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


def read_numbers(cells: Sequence[str], where: str) -> NumberList | None:
    """Tell what the numbers behind the paths of a list are; None if there is other text behind a path.

    Args:
        cells: What stands behind the path of each line.
        where: Name of the file, for the note and the error.

    Raises:
        Unlabelled: A number is below 0.
        DataSetError: The numbers can be read in two ways.
    """
    if not all(map(_NUMBERS.fullmatch, cells)):
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
        raise _two_readings(where, numbers[0], "path start_frame end_frame label")
    first, last = ({int(line[place]) for line in numbers} for place in (0, 1))
    if 0 in first:
        return NumberList("labels", numbers, f"{where}: the two numbers behind each path are taken as its labels")
    if min(first) > max(last) or (_are_labels(last) and not _are_labels(first | last)):
        note = (
            f"{where}: the numbers behind each path are taken as its number of frames and its label; if they are two "
            'labels, write "path labels" into line 1'
        )
        return NumberList("frames", numbers, note)
    raise _two_readings(where, numbers[0], "path frames label")


def _are_labels(numbers: set[int]) -> bool:
    """Whether the numbers count from 0 or 1 without a gap, as those of classes do."""
    return min(numbers) in (0, 1) and max(numbers) - min(numbers) + 1 == len(numbers)


def _two_readings(where: str, example: Sequence[str], columns: str) -> DataSetError:
    names = columns.split()[1:]
    one = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in zip(names, example, strict=True))
    return DataSetError(
        f"{where}: the numbers behind each path can be read in two ways: {one}; or the labels {' and '.join(example)}; "
        f'write "{columns}" or "path labels" into line 1'
    )


def split_name(line: str) -> tuple[str, str] | None:
    """Split a line such as ``v_run_g01 120 3`` into a name without the suffix of a video, and its numbers."""
    match = _NAME_THEN_NUMBERS.fullmatch(line.strip())
    return None if match is None else (match[1], match[2])
