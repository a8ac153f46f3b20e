"""Several tables of one data set as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.labelled import Kind
from nlvid_cli.datasets.numbered_labels import decimal_value
from nlvid_cli.errors import DataSetError


@dataclass(frozen=True)
class Part:
    """What one table holds.

    Attributes:
        found: Its entries; numbers have no names yet.
        split: Split of the whole table, of the name of its file; None if it names none.
        by_folder: Whether the labels are the folders of the videos.
    """

    found: Entries
    split: str | None = None
    by_folder: bool = False


def merge(parts: Sequence[Part], source: str | None, name: Callable[[Entries], Entries]) -> Entries:
    """Put the tables of a data set together.

    Args:
        parts: Tables.
        source: Form of the data set, in words; None for that of the only table.
        name: Looks up the names of numbers.

    Raises:
        DataSetError: A row and the name of its file are of different splits, or labels are numbers here and names
            there.
    """
    has_folders = any(part.by_folder for part in parts)
    named = []
    for part in parts:
        found = part.found
        if has_folders and not part.by_folder:
            found = _as_names(name(found), found)
        named.append(replace(found, entries=_in_split(found, part.split if len(parts) > 1 else None, part.split)))
    first = named[0]
    kind: Kind = "multi" if any(found.kind == "multi" for found in named) else "single"
    merged = Entries(
        tuple(entry for found in named for entry in found.entries),
        source or first.source,
        kind,
        first.class_names,
        first.fixed_classes,
        tuple(dict.fromkeys(note for found in named for note in found.notes)),
        sum(found.passed_over for found in named),
    )
    return merged if has_folders else name(merged)


def _as_names(found: Entries, written: Entries) -> Entries:
    """Replace numbers by names; without a class file by the folders of the videos, one for each number."""
    names = found.class_names
    if names is None and all(label.isdecimal() for entry in found.entries for label in entry.labels):
        names = {}
        for entry in found.entries:
            for label in entry.labels:
                folder = entry.path.parent.name
                known = names.setdefault(decimal_value(label) or label, folder)
                if known != folder:
                    raise DataSetError(
                        f"{entry.where}: the label {label} is in the folders {known} and {folder}, and another list "
                        "has no labels; add a file classInd.txt with the names"
                    )
    if names is None:
        return written
    entries = (
        replace(entry, labels=tuple(names.get(decimal_value(label) or label, label) for label in entry.labels))
        for entry in found.entries
    )
    return replace(found, entries=tuple(entries), class_names=None)


def _in_split(found: Entries, split: str | None, lone: str | None) -> tuple[Entry, ...]:
    """Set the split of entries: that of the file where a row names none; of a lone file, that of the row."""
    for entry in found.entries:
        if split is not None and entry.split not in (None, split):
            raise DataSetError(
                f"{entry.where}: the row says that this video is for {entry.split}, and the name of the file that it "
                f"is for {split}; correct the row, or give the file a name without {split}"
            )
    return tuple(replace(entry, split=entry.split or lone) if lone else entry for entry in found.entries)
