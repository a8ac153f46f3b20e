"""Split a data set into videos for training and videos for validation.

A *unit* is what stays together: the parts of one file, or all files of a group (one person, one recording). The order
of units depends only on the seed and the names of the files, so that a data set that was moved, or has a few videos
more, is split in the same way. From the rarest class on, each class gives its share of units to validation; a unit
stays in training if a class would have none left there. This is the iterative stratification of Sechidis, Tsoumakas
and Vlahavas (2011) for two subsets; with one label a video it is "per class".
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlvid_cli.datasets.labelled import SHOWN, DataSet
from nlvid_cli.errors import DataSetError, UsageError, did_you_mean, shortened
from nlvid_cli.system.patterns import PatternError, first_matches

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """A data set in two parts with the same classes.

    Attributes:
        train: Videos to learn from.
        val: Videos to validate on; none of them is in ``train``.
        name: Name of the split, which can name a folder: "val-0.2-seed-0", "fold-1-of-5", "without-daria".
    """

    train: DataSet
    val: DataSet
    name: str


@dataclass(frozen=True, slots=True)
class _Unit:
    """Videos that stay together, and their classes."""

    name: str
    videos: tuple[int, ...]
    classes: frozenset[int]


def split_by_fraction(data: DataSet, val_fraction: float, seed: int) -> Split:
    """Hold out a fraction of the videos of each class, at least one, for validation.

    Args:
        data: Data set. The only video of a class stays in training.
        val_fraction: Fraction in (0, 1).
        seed: Random seed of the choice.

    Raises:
        UsageError: The fraction is out of range.
        DataSetError: No video can be held out, or there is only one class.
    """
    held_out = _choose(_file_units(data), _checked(val_fraction), seed)
    return _split(data, held_out, f"val-{val_fraction:g}-seed-{seed}")


def split_by_column(data: DataSet) -> Split:
    """Split as the data set says: "train" and "val", or "train" and "test" if it has no "val".

    Raises:
        DataSetError: A video has no split, a split is missing, or a class is not in training.
    """
    kinds = {video.split for video in data.videos}
    silent = next((video for video in data.videos if video.split is None), None)
    if silent is not None:
        which = "any video" if len(kinds) == 1 else f"{silent.path} ({silent.where})"
        raise DataSetError(
            f"the data set does not say whether {which} is for training or validation; use --val-fraction"
        )
    val = "val" if "val" in kinds else "test"
    for split in ("train", val):
        if split not in kinds:
            raise DataSetError(
                f"the data set has the splits {shortened(sorted(map(str, kinds)), SHOWN)}, but no {split}"
            )
    used = replace(data, videos=tuple(video for video in data.videos if video.split in ("train", val)))
    return _split(used, {n for n, video in enumerate(used.videos) if video.split == val}, f"train-{val}")


def stated_parts(data: DataSet) -> set[str]:
    """Return the parts that the data set names: "train", "val", "test"; none if it names only one for all videos.

    One part alone, such as the training list of Kinetics, is divided like a data set without parts; a note says so.
    """
    parts = {video.split for video in data.videos}
    if len(parts) == 1 and None not in parts:
        log.warning("all videos are of the part %s; some of them are held out for validation", *parts)
        return set()
    return {part for part in parts if part is not None}


def split_by_group(
    data: DataSet,
    pattern: str,
    val_fraction: float | None = None,
    held_out: Sequence[str] | None = None,
    seed: int = 0,
) -> Split:
    """Hold out whole groups for validation: a fraction of them, or named ones.

    Args:
        data: Data set.
        pattern: Regular expression that finds the group in the stem of a file name: its first parenthesised group, or
            else the whole match. ``^[^_]+`` is what comes before the first ``_``.
        val_fraction: Fraction of the groups of each class, in (0, 1). Give either this or ``held_out``.
        held_out: Names of groups.
        seed: Random seed of the choice by fraction.

    Raises:
        UsageError: The pattern is not a regular expression or takes too long, or not exactly one of the two options is
            given.
        UnknownName: There is no group of a name.
        DataSetError: The pattern does not match all files, or a class would not be in training.
    """
    if (val_fraction is None) == (held_out is None):
        raise UsageError("a split by group needs either a fraction or the groups to hold out")
    names = _group_names(data, pattern)
    if held_out is None:
        chosen = _choose(_group_units(data, names), _checked(val_fraction or 0.0), seed)
        return _split(data, chosen, f"groups-{val_fraction:g}-seed-{seed}")
    for name in held_out:
        if name not in names:
            raise did_you_mean("group", name, names, shortened(sorted(set(names)), SHOWN))
    return _without(data, names, held_out)


def folds(data: DataSet, n: int, seed: int, pattern: str | None = None) -> Iterator[Split]:
    """Split for cross-validation, so that each video is held out exactly once.

    Args:
        data: Data set.
        n: Number of folds, at least 2.
        seed: Random seed of the choice.
        pattern: Regular expression of groups that stay together, see :func:`split_by_group`; None to keep only the
            parts of a file together.

    Raises:
        UsageError: There are more folds than files or groups, or fewer than two.
        DataSetError: A class would not be in training in some fold.
    """
    units = _file_units(data) if pattern is None else _group_units(data, _group_names(data, pattern))
    if not 2 <= n <= len(units):
        what = "files" if pattern is None else "groups"
        raise UsageError(f"{n} folds of {len(units)} {what} are impossible; choose 2 to {len(units)}")
    members = _deal(units, n, seed)
    return iter([_split(data, chosen, f"fold-{k}-of-{n}") for k, chosen in enumerate(members, start=1)])


def leave_one_group_out(data: DataSet, pattern: str) -> Iterator[Split]:
    """Hold out each group in turn, in order of name.

    Raises:
        DataSetError: Only one group shows some class.
    """
    names = _group_names(data, pattern)
    splits = [_without(data, names, [name]) for name in sorted(set(names))]
    return iter(splits)


def groups_of(paths: Iterable[Path], pattern: str) -> list[str | None]:
    """Return the group of each file by its stem; None where the pattern does not match.

    Raises:
        UsageError: The pattern is not a regular expression, or takes too long.
    """
    try:
        return first_matches(pattern, [path.stem for path in paths])
    except PatternError as error:
        raise UsageError(f"--group-by {pattern!r}: {error}") from None


def _without(data: DataSet, names: Sequence[str], held_out: Sequence[str]) -> Split:
    """Hold out named groups."""
    chosen = {number for number, name in enumerate(names) if name in held_out}
    return _split(data, chosen, f"without-{'-'.join(held_out)}")


def _group_names(data: DataSet, pattern: str) -> list[str]:
    """The group of each video."""
    names = groups_of((video.path for video in data.videos), pattern)
    unfit = [video for video, name in zip(data.videos, names, strict=True) if not name]
    if unfit:
        files = shortened([f"{video.path} ({video.where})" for video in unfit], SHOWN)
        raise DataSetError(
            f"the pattern {pattern!r} finds no group in {len(unfit)} of {len(names)} file names: {files}"
        )
    if len(set(names)) < 2:
        raise DataSetError(f"the pattern {pattern!r} finds the same group, {names[0]!r}, in all file names")
    return [name for name in names if name]


def _file_units(data: DataSet) -> list[_Unit]:
    """A unit for each file; its name stays the same when the data set is moved."""
    members = _members(os.path.realpath(video.path) for video in data.videos)
    return _units(data, (("/".join(data.videos[numbers[0]].path.parts[-2:]), numbers) for numbers in members.values()))


def _group_units(data: DataSet, names: Sequence[str]) -> list[_Unit]:
    """A unit for each group."""
    return _units(data, _members(names).items())


def _members(names: Iterable[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        members.setdefault(name, []).append(number)
    return members


def _units(data: DataSet, members: Iterable[tuple[str, Sequence[int]]]) -> list[_Unit]:
    """Make units of names and the numbers of their videos; they share equal sets of classes."""
    shared: dict[frozenset[int], frozenset[int]] = {}
    units = []
    for name, numbers in members:
        classes = frozenset(label for number in numbers for label in data.videos[number].labels)
        units.append(_Unit(name, tuple(numbers), shared.setdefault(classes, classes)))
    return units


def _in_order(units: Iterable[_Unit], seed: int) -> list[_Unit]:
    def rank(unit: _Unit) -> tuple[bytes, tuple[int, ...]]:
        return hashlib.sha256(f"{seed}/{unit.name}".encode("utf-8", "surrogateescape")).digest(), unit.videos

    return sorted(units, key=rank)


def _from_rarest(units: Sequence[_Unit], seed: int) -> Iterator[tuple[int | None, list[_Unit]]]:
    """Yield classes from the rarest on, each with its units in order; last None, with the units without a class."""
    members: dict[int, list[_Unit]] = {}
    without = []
    for unit in _in_order(units, seed):
        for label in unit.classes:
            members.setdefault(label, []).append(unit)
        if not unit.classes:
            without.append(unit)
    for label in sorted(members, key=lambda label: (len(members[label]), label)):
        yield label, members[label]
    yield None, without


def _choose(units: Sequence[_Unit], fraction: float, seed: int) -> set[int]:
    """Choose the numbers of the videos for validation."""
    left = Counter(label for unit in units for label in unit.classes)  # units of each class in training
    decided: dict[tuple[int, ...], bool] = {}
    for _, candidates in _from_rarest(units, seed):
        share = max(int(len(candidates) * fraction + 0.5), 1) if len(candidates) > 1 else 0
        lacking = share - sum(decided.get(unit.videos, False) for unit in candidates)
        for unit in candidates:
            if unit.videos in decided:
                continue
            decided[unit.videos] = lacking > 0 and all(left[label] > 1 for label in unit.classes)
            if decided[unit.videos]:
                lacking -= 1
                left.subtract(unit.classes)
    return {number for unit in units if decided[unit.videos] for number in unit.videos}


def _deal(units: Sequence[_Unit], n: int, seed: int) -> list[set[int]]:
    """Deal videos to n folds: each unit goes to the fold with the fewest units of its class, then of all classes."""
    members: list[set[int]] = [set() for _ in range(n)]
    sizes = [0] * n
    per_class: list[Counter[int | None]] = [Counter() for _ in range(n)]
    done: set[tuple[int, ...]] = set()
    for label, candidates in _from_rarest(units, seed):
        for unit in candidates:
            if unit.videos in done:
                continue
            done.add(unit.videos)
            fold = min(range(n), key=lambda k: (per_class[k][label], sizes[k]))
            members[fold].update(unit.videos)
            per_class[fold].update(unit.classes)
            sizes[fold] += 1
    return members


def _checked(fraction: float) -> float:
    if not 0 < fraction < 1:
        raise UsageError(f"the fraction for validation must be between 0 and 1, not {fraction:g}")
    return fraction


def _split(data: DataSet, held_out: set[int], name: str) -> Split:
    train = tuple(video for number, video in enumerate(data.videos) if number not in held_out)
    val = tuple(video for number, video in enumerate(data.videos) if number in held_out)
    if not train or not val:
        raise DataSetError(f"{name}: no video left for {'validation' if train else 'training'}; add videos")
    learnt = {label for video in train for label in video.labels}
    shown = learnt | {label for video in val for label in video.labels}
    if data.kind == "single" and len(shown) < 2:
        raise DataSetError(f"the data set has only one class, {data.classes[min(shown)]!r}; training needs two or more")
    if shown > learnt:
        missing = [data.classes[label] for label in sorted(shown - learnt)]
        raise DataSetError(f"{name}: no video for training of {shortened(missing, SHOWN)}")
    return Split(replace(data, videos=train), replace(data, videos=val), name)
