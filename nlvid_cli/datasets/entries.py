"""From the entries of a data set, in whatever form, to labelled videos: number the labels, find contradictions."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.datasets.labelled import SHOWN, DataSet, Kind, LabelledVideo
from nlvid_cli.datasets.numbered_labels import class_index, decimal_order, decimal_value, indices_by_value
from nlvid_cli.errors import DataSetError, UnknownName, did_you_mean, shortened
from nlvid_cli.video.segment import Stretch

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Not allowed in class names: control characters, and bytes that are not UTF-8 in the name of a folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A labelled video as it is written down.

    Attributes:
        where: Place in the data set, for messages: "train.csv, line 12", or a folder.
        written: Name of the video in the data set.
        path: Path to the file.
        labels: Labels as written.
        split: "train", "val", "test" or None.
        stretch: See :class:`LabelledVideo`.
        label_times: See :class:`LabelledVideo`.
    """

    where: str
    written: str
    path: Path
    labels: tuple[str, ...]
    split: str | None = None
    stretch: Stretch | None = None
    label_times: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Entries:
    """A data set as it is written down.

    Attributes:
        entries: Entries in the order of the file.
        source: Form of the data set, in words.
        kind: "multi" if an entry may have any number of labels.
        class_names: Names of classes by label, where labels are numbers or codes; None where labels are names.
        fixed_classes: Whether ``class_names`` fixes all classes and their order.
        notes: What can be read in two ways, and which way was taken.
        passed_over: Number of files and rows that are not used.
    """

    entries: tuple[Entry, ...]
    source: str
    kind: Kind = "single"
    class_names: Mapping[str, str] | None = None
    fixed_classes: bool = False
    notes: tuple[str, ...] = ()
    passed_over: int = 0


def build_data_set(found: Entries, classes: Sequence[str] | None) -> DataSet:
    """Check the entries as a whole, and number their labels.

    Args:
        found: Entries of a data set.
        classes: Class names in the order of a model; None to take those of the data set.

    Raises:
        DataSetError: Entries contradict each other, or there are none.
        UnknownName: A label is not among the classes.
    """
    entries = found.entries
    if not any(entry.labels for entry in entries):
        raise DataSetError(f"no labelled video in the data set ({found.source})")
    _check_repetitions(entries, found.kind)
    names = _names(found)
    if classes is None:
        if not found.class_names:
            _check_spellings(entries)
        classes = _own_classes(found, names)
    numbers = _numbers(entries, names, classes)
    videos = tuple(
        LabelledVideo(
            entry.path,
            labels,
            entry.where,
            entry.split,
            entry.stretch,
            entry.label_times,
        )
        for entry, labels in zip(entries, numbers, strict=True)
    )
    return DataSet(videos, tuple(classes), found.kind, found.source, found.notes, found.passed_over)


def _check_repetitions(entries: Sequence[Entry], kind: Kind) -> None:
    seen: dict[object, Entry] = {}
    repeated: list[tuple[Entry, Entry]] = []
    for entry in entries:
        path = os.path.realpath(entry.path)
        first = seen.setdefault(path if entry.stretch is None else (path, entry.stretch), entry)
        if first is not entry:
            repeated.append((first, entry))
    if not repeated:
        return
    places = shortened([_twice(first, entry) for first, entry in repeated], SHOWN)
    first, entry = repeated[0]
    if first.split != entry.split:
        advice = f"so that it is in both {first.split} and {entry.split}; keep one"
    elif set(first.labels) != set(entry.labels) and kind == "single":
        advice = (
            f"with the labels {first.labels[0]!r} and {entry.labels[0]!r}; keep one, or write several labels into one "
            "cell of a column called labels, separated by |"
        )
    else:
        advice = "remove the repetitions"
    raise DataSetError(f"the same video twice: {places}: {advice}")


def _check_spellings(entries: Sequence[Entry]) -> None:
    """Raise an error for labels that differ only in capitals, blanks, dashes or the coding of accents."""
    first: dict[str, tuple[str, Entry]] = {}
    counts = Counter(label for entry in entries for label in entry.labels)
    for entry in entries:
        for label in entry.labels:
            spelt, other = first.setdefault(_folded(label), (label, entry))
            if spelt != label:
                raise DataSetError(
                    f"the labels {spelt!r} ({_videos(counts[spelt])}, {other.where}) and {label!r} "
                    f"({_videos(counts[label])}, {entry.where}) are one class or two; write them alike, or rename one "
                    "so that they differ in more than capitals and blanks"
                )


def _videos(count: int) -> str:
    return f"{count} video{'s' * (count != 1)}"


def _twice(first: Entry, entry: Entry) -> str:
    spelt = entry.written if entry.written == first.written else f"{first.written}, as {entry.written},"
    return f"{spelt} in {first.where} and {entry.where}"


def _names(found: Entries) -> list[tuple[str, ...]]:
    """The classes of each entry, by name; entries with the same labels share them."""
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for entry in found.entries:
        if entry.labels not in known:
            known[entry.labels] = tuple(_name_of(entry, label, found.class_names) for label in entry.labels)
    return [known[entry.labels] for entry in found.entries]


def _name_of(entry: Entry, label: str, class_names: Mapping[str, str] | None) -> str:
    if not label:
        raise DataSetError(f"{entry.where}: the label is empty")
    if _CONTROL.search(label):
        raise DataSetError(f"{entry.where}: the label {label!r} contains control characters, or is not UTF-8")
    if class_names is None:
        return label
    name = class_names.get(decimal_value(label) or label)
    if name is None:
        numbers = sorted(class_names, key=lambda text: (len(text), text))
        raise UnknownName(
            f"{entry.where}: the label {label!r} is not among the {len(class_names)} classes "
            f"({numbers[0]} to {numbers[-1]})"
        )
    return name


def _own_classes(found: Entries, names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if found.fixed_classes and found.class_names:
        return tuple(dict.fromkeys(found.class_names.values()))
    used = {name for labels in names for name in labels}
    if found.class_names:  # in the order of the numbers
        ordered = [name for name in dict.fromkeys(found.class_names.values()) if name in used]
    else:
        ordered = sorted(used, key=decimal_order)
    return tuple(ordered)


def _numbers(
    entries: Sequence[Entry], names: Sequence[tuple[str, ...]], classes: Sequence[str]
) -> list[tuple[int, ...]]:
    """Indices of the labels among the classes: by name (case, ``_-`` and leading zeros may differ), or by index."""
    by_name = {name: index for index, name in enumerate(classes)}
    folded: dict[str, list[int]] = {}
    for name, index in by_name.items():
        folded.setdefault(_folded(name), []).append(index)
    used = {name for labels in names for name in labels}
    all_numbers = all(map(str.isdecimal, used)) and not all(map(str.isdecimal, classes))
    are_numbers = all_numbers and not used <= by_name.keys()
    if are_numbers:
        by_name = {name: found for name in used if (found := class_index(name, classes)) is not None}
    else:
        by_value = indices_by_value(classes)
        for name in used - by_name.keys():
            if (value := decimal_value(name)) in by_value and value is not None:
                by_name[name] = by_value[value]
            elif len(alike := folded.get(_folded(name), [])) == 1:
                by_name[name] = alike[0]
    for entry, labels in zip(entries, names, strict=True):
        for name in labels:
            if name not in by_name:
                raise _unknown(entry, name, classes, used - by_name.keys(), are_numbers)
    known = {labels: tuple(by_name[name] for name in labels) for labels in set(names)}
    return [known[labels] for labels in names]


def _unknown(entry: Entry, name: str, classes: Sequence[str], unknown: set[str], are_numbers: bool) -> UnknownName:
    if are_numbers:
        hint = "; labels count from 0" if name == str(len(classes)) else ""
        return UnknownName(f"{entry.where}: no label {name} among {len(classes)} classes{hint}")
    others = f"; {len(unknown)} labels of the data set are unknown" if len(unknown) > 1 else ""
    return UnknownName(f"{entry.where}: {did_you_mean('class', name, classes, f'{len(classes)} classes{others}')}")


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()
