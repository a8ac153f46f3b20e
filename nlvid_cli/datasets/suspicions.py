"""Warnings about a data set as a whole, from the counts of its classes and the names of its files."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nlvid_cli.datasets.labelled import SHOWN, LabelledVideo
from nlvid_cli.datasets.split import groups_of
from nlvid_cli.errors import shortened

FEW_VIDEOS = 5
"""A class with fewer videos is hardly learned, and its accuracy is a matter of luck."""

UNEVEN_CLASSES = 10
"""Largest ratio between the sizes of two classes that is not reported."""

_NUMBERED = re.compile(
    r"^(.+?)(?:_\d{6}_\d{6}|[_\-. ]*(?:(?:clip|part|seg|segment|scene|shot|chunk|c|p|s)[_\-. ]*)?(?<!\d)\d+)$",
    re.IGNORECASE,
)
"""A stem that ends in numbers, as when a recording was cut: ``v_run_g08_c02``, ``match-3``, ``ID_000010_000020``."""

_FIRST_WORD = re.compile(r"^([^_\-. ]+)[_\-. ]")

VideoOfSplit = tuple[LabelledVideo, bool]
"""A video, and whether it is for validation."""

_Group = TypeVar("_Group", bound=Hashable)


@dataclass(frozen=True)
class ClassCount:
    """Number of videos of a class for training and for validation; without a split, all count as training."""

    name: str
    train: int
    val: int


def suspect_counts(counts: Sequence[ClassCount], is_split: bool) -> Iterator[str]:
    """Report classes with few videos, with far more than others, or with none for validation; a sentence each."""
    shown = [count for count in counts if count.train + count.val]
    few = [f"{count.name} ({count.train})" for count in shown if count.train < FEW_VIDEOS]
    if few:
        what = "videos for training" if is_split else "videos"
        yield f"fewer than {FEW_VIDEOS} {what} of {shortened(few, SHOWN)}"
    sizes = sorted((count.train, count.name) for count in shown if count.train)
    if sizes and sizes[-1][0] > UNEVEN_CLASSES * sizes[0][0]:
        yield (
            f"very uneven classes: {sizes[-1][1]} has {sizes[-1][0]} videos, {sizes[0][1]} has {sizes[0][0]}; "
            "weight the classes in training"
        )
    absent = [count.name for count in shown if not count.val]
    if is_split and absent:
        yield f"no video for validation of {shortened(absent, SHOWN)}"
    if len(shown) < 2:
        yield "there is only one class"


def suspect_groups(entries: Sequence[VideoOfSplit], pattern: str | None) -> Iterator[str]:
    """Report groups that are on both sides of a split, a sentence each.

    Args:
        entries: Videos, and whether each is for validation.
        pattern: Regular expression that finds the group in a name; None to look for names of people, and for parts of
            one recording.
    """
    if pattern is not None:
        groups = groups_of((video.path for video, _ in entries), pattern)
        shared = _on_both_sides(zip(groups, entries, strict=True))
        if shared:
            yield f"groups in both training and validation: {shortened(shared, SHOWN)}"
        return
    recordings = [name for _, name in _on_both_sides(_recordings(entries))]
    if recordings:
        yield (
            "videos that seem to be cut from one recording are in both training and validation: "
            f"{shortened(recordings, SHOWN)}; split by group, or scores will be too good"
        )
    people = _on_both_sides(_people(entries))
    if people:
        yield (
            f"names on both sides and in several classes begin alike: {shortened(people, SHOWN)}; if these are people "
            "or cameras, split with --group-by '^[^_. -]+', or scores will be too good"
        )


def _on_both_sides(groups: Iterable[tuple[_Group, VideoOfSplit]]) -> list[_Group]:
    sides: dict[_Group, set[bool]] = {}
    for group, (_, in_val) in groups:
        sides.setdefault(group, set()).add(in_val)
    return [group for group, both in sides.items() if len(both) == 2]


def _recordings(entries: Sequence[VideoOfSplit]) -> Iterator[tuple[tuple[tuple[int, ...], str], VideoOfSplit]]:
    """Labels, and stems without the numbers at their ends; skips classes where all of these are equal (``run_1``)."""
    stems: dict[tuple[int, ...], set[str]] = {}
    found = []
    for entry in entries:
        video, _ = entry
        match = _NUMBERED.match(video.path.stem)
        stem = match[1] if match else video.path.stem
        stems.setdefault(video.labels, set()).add(stem)
        found.append(((video.labels, stem), entry))
    yield from ((group, entry) for group, entry in found if len(stems[group[0]]) > 1)


def _people(entries: Sequence[VideoOfSplit]) -> Iterator[tuple[str, VideoOfSplit]]:
    """First words of stems that occur in several classes; none if there is only one such word (``v_``)."""
    found = [(match[1], entry) for entry in entries if (match := _FIRST_WORD.match(entry[0].path.stem))]
    classes: dict[str, set[tuple[int, ...]]] = {}
    for name, (video, _) in found:
        classes.setdefault(name, set()).add(video.labels)
    several = {name for name, shown in classes.items() if len(shown) > 1}
    if 1 < len(several) < len(entries) / 2:
        yield from ((name, entry) for name, entry in found if name in several)
