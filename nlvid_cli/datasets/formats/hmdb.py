"""HMDB51: a list a class and split, ``brush_hair_test_split1.txt``, with lines ``NAME.avi 1``.

The number is 1 for training, 2 for testing, and 0 for a video that this split does not use. The class is in the name of
the file. The videos are in folders of classes, beside the lists, above them or in the root.
"""

from __future__ import annotations

import re
from pathlib import Path

from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.folder import Folder, FolderOrTable
from nlvid_cli.datasets.formats.locate import Locator, PathRules
from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.text import read_lines

_NAME = re.compile(r"(.+)_test_split(\d)\.txt")

_LINE = re.compile(r"(\S.*?)\s+([012])")

_SPLITS = {"1": "train", "2": "test"}


def is_hmdb(place: FolderOrTable) -> bool:
    """Whether these are lists of HMDB51, in a folder or in one below it; or one of the lists."""
    if not isinstance(place, Folder):
        return _NAME.fullmatch(place.path.name) is not None
    return bool(_lists(place))


def read_hmdb(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read the lists of one split: that of the named list, or else the one with the lowest number."""
    if isinstance(place, Folder):
        lists, data = _lists(place), place.path if place.videos else place.path.parent
    else:
        lists, data = _lists_in(place.path.parent), place.path.parent.parent
    numbers = sorted({number for _, number in lists})
    named = None if isinstance(place, Folder) else _NAME.fullmatch(place.path.name)
    number = named[2] if named else numbers[0]
    chosen = {
        path: label for (label, its_number), path in zip(lists, lists.values(), strict=True) if its_number == number
    }
    entries: list[Entry] = []
    notes: tuple[str, ...] = ()
    unused = 0
    for path, label in chosen.items():
        found, left_out, about = _read_list(path, label, PathRules(rules.root, rules.skip_missing, rules.data or data))
        entries += found
        notes += about
        unused += left_out
    if len(numbers) > 1 and named is None:
        other = next(path for (_, its_number), path in lists.items() if its_number != number)
        notes += (f"split {number} of {', '.join(numbers)} is taken; for another one, name one of its lists: {other}",)
    return Entries(tuple(entries), f"lists of HMDB51, split {number}", notes=notes, passed_over=unused)


def _read_list(path: Path, label: str, rules: PathRules) -> tuple[list[Entry], int, tuple[str, ...]]:
    locator = Locator(path, rules)
    entries: list[Entry] = []
    missing: dict[int, str] = {}
    lines = read_lines(path)
    unused = 0
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            if line.strip():
                raise DataSetError(f"{path}, line {number}: not a video and 0, 1 or 2, as in the lists of HMDB51")
        elif match[2] == "0":
            unused += 1
        elif (found := locator.find(match[1], (label,))) is None:
            missing[number] = match[1]
        else:
            entries.append(Entry(f"{path}, line {number}", match[1], found, (label,), _SPLITS[match[2]]))
    return entries, unused + len(missing), locator.check_missing(missing, len(lines))


def _lists(place: Folder) -> dict[tuple[str, str], Path]:
    """Lists by class and number of the split, in the folder or in the first one below it that has any."""
    folders = [place.path, *(place.path / name for name in place.folders if name not in place.class_folders)]
    return next((lists for folder in folders if (lists := _lists_in(folder))), {})


def _lists_in(folder: Path) -> dict[tuple[str, str], Path]:
    matches = [(match, path) for path in sorted(folder.iterdir()) if (match := _NAME.fullmatch(path.name))]
    return {(match[1], match[2]): path for match, path in matches}
