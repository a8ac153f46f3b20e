"""Folders with tables: ``train.csv`` and ``val.csv``, a table in each of ``train/`` and ``val/``, or one table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nlvid_cli.datasets.class_files import CLASS_FILES
from nlvid_cli.datasets.columns import find_columns, path_of
from nlvid_cli.datasets.entries import Entries
from nlvid_cli.datasets.folder import Folder, FolderOrTable
from nlvid_cli.datasets.formats.charades import is_charades
from nlvid_cli.datasets.formats.kinetics import is_kinetics
from nlvid_cli.datasets.formats.locate import Locator, PathRules
from nlvid_cli.datasets.formats.merge import Part, merge
from nlvid_cli.datasets.formats.tables import class_folders, name_numbers, read_any_table
from nlvid_cli.datasets.labelled import SHOWN
from nlvid_cli.datasets.table import LIST_OF_PATHS, read_table
from nlvid_cli.datasets.table_rows import LABEL_COLUMNS, SPLITS, Table
from nlvid_cli.errors import DataSetError, Unlabelled, shortened

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")

LIST_SUFFIXES = (*TABLE_SUFFIXES, ".txt")

METADATA_FILES = ("metadata.csv", "metadata.jsonl")

TRIED_ROWS = 50
"""Rows whose videos are looked for, to tell whether a table belongs to a folder."""

MOST_TABLES = 200
"""Files of a folder that are looked at."""

_WORD = re.compile(r"([a-z]+?)(?:list|set|split|data)?(\d*)")


def has_metadata(place: FolderOrTable) -> bool:
    """Whether a folder, or a split folder in it, has the metadata file of ``videofolder``."""
    return isinstance(place, Folder) and bool(_metadata_files(place))


def read_metadata(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read ``metadata.csv`` or ``metadata.jsonl``; its folder, or the first folder of a path, names the split."""
    assert isinstance(place, Folder)
    files = [(path, SPLITS.get(path.parent.name.casefold())) for path in _metadata_files(place)]
    return _read_files(files, replace(rules, data=place.path), "Hugging Face videofolder", by_folder=True)


def has_split_tables(place: FolderOrTable) -> bool:
    """Whether a folder has ``train.csv``, or the same in another form."""
    return isinstance(place, Folder) and "train" in _split_tables(place)[0]


def read_split_tables(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read ``train.csv``, ``val.csv`` and ``test.csv``, or the same in another form."""
    assert isinstance(place, Folder)
    tables, notes = _split_tables(place)
    source = " and ".join(path.name for path in tables.values())
    files = [(path, split) for split, path in tables.items()]
    found = _read_files(files, replace(rules, data=place.path), source)
    return _beside_folders(replace(found, notes=(*notes, *found.notes)), place, source)


def has_tables_in_splits(place: FolderOrTable) -> bool:
    """Whether folders called train, val, test or the like hold loose videos and a table each."""
    return isinstance(place, Folder) and bool(_tables_in_splits(place))


def read_tables_in_splits(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read the table in each of ``train/``, ``val/`` and ``test/``."""
    assert isinstance(place, Folder)
    tables = _tables_in_splits(place)
    without = [name for name in place.class_folders if name not in tables]
    if without:
        raise DataSetError(
            f"{place.path}: {next(iter(tables))}/ has a table of its labels, and {shortened(without, SHOWN)} has none"
        )
    files = [(path, SPLITS[name.casefold()]) for name, path in tables.items()]
    found = _read_files(
        files, replace(rules, data=place.path), " and ".join(f"{n}/{p.name}" for n, p in tables.items())
    )
    return _with_unused(found, place)


def has_single_table(place: FolderOrTable) -> bool:
    """Whether a folder has one table that names its videos and their labels."""
    if not isinstance(place, Folder):
        return False
    tables = tables_in(place)
    return (len(tables) == 1 and len(place.class_folders) < 2) or any(why_unfit(path, place) is None for path in tables)


def read_single_table(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read the only table of a folder, or the only one that names its videos."""
    assert isinstance(place, Folder)
    tables = tables_in(place)
    fitting = tables if len(tables) == 1 else [path for path in tables if why_unfit(path, place) is None]
    if len(fitting) > 1:
        names = " and ".join(path.name for path in fitting)
        raise DataSetError(f"{place.path}: {names} all name videos and labels; name the right table: {fitting[0]}")
    found = _read_files([(fitting[0], None)], replace(rules, data=place.path), None)
    return _beside_folders(found, place, fitting[0].name)


def tables_in(place: Folder) -> list[Path]:
    """Return the files of a folder that may be tables of its videos, or else those of a folder in it without videos."""
    for files in _lists(place):
        tables = [path for path in files if path.suffix in TABLE_SUFFIXES and path.name not in CLASS_FILES]
        if tables:
            return tables
    return []


def why_unfit(path: Path, place: Folder) -> str | None:
    """Return why a table cannot be the one that labels the videos of a folder of folders; None if it can be."""
    try:
        table = read_table(path)
        if is_charades(table) or is_kinetics(table):
            return None
        columns, found = find_columns(table), _finds_videos(table, place)
    except DataSetError as error:
        return str(error)
    if not found:
        return f"{path}: names none of the videos"
    if {"score", "probability", "prediction"} & set(table.header or ()):
        return f"{path}: holds predictions"
    label = (table.header or ("label",))[columns.labels[0]]
    if len(columns.labels) == 1 and label not in LABEL_COLUMNS:
        return f"{path}: has no column called label"
    return None


def _metadata_files(place: Folder) -> list[Path]:
    folders = [place.path, *(place.path / name for name in place.folders if name.casefold() in SPLITS)]
    return [folder / name for folder in folders for name in METADATA_FILES if (folder / name).is_file()]


def _tables_in_splits(place: Folder) -> dict[str, Path]:
    """Tables by the name of the split folder that holds them, if its videos are not in folders of classes."""
    splits = [name for name in place.class_folders if name.casefold() in SPLITS]
    if any(len(parts) > 2 and parts[0] in splits for parts in place.videos):
        return {}
    found: dict[str, Path] = {}
    for name in splits:
        tables = [path for path in sorted((place.path / name).iterdir()) if path.suffix in TABLE_SUFFIXES]
        named = [path for path in tables if "classes" in path.stem] or tables
        if len(named) == 1:
            found[name] = named[0]
    return found


def _split_tables(place: Folder) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Tables by split, in the folder or in one below it without videos; and notes.

    Files are called by a split alone (``train.csv``), or by the same words apart from it (``trainlist01.txt`` and
    ``testlist01.txt``); of several numbers the lowest counts.
    """
    exact: dict[str, Path] = {}
    for name in place.files:
        split = SPLITS.get(Path(name).stem.casefold())
        if split and name.endswith(LIST_SUFFIXES):
            if split in exact:
                raise DataSetError(f"{place.path}: {exact[split].name} and {name} are both for {split}; name one table")
            exact[split] = place.path / name
    if exact:
        return dict(sorted(exact.items(), key=_train_first)), ()
    for files in _lists(place):
        families = _families(files, place)
        if families:
            (name, chosen), *others = sorted(families.items())
            also = [tables["train"].name for _, tables in others]
            first = chosen["train"].name
            note = (
                f"{first} is taken, and {shortened(also, SHOWN)} is not; to use another one, copy it and what belongs "
                f"to it into a folder of their own and add --root {place.path}"
            )
            return dict(sorted(chosen.items(), key=_train_first)), ((note,) if also else ())
    return {}, ()


def _train_first(item: tuple[str, Path]) -> tuple[bool, str]:
    return item[0] != "train", item[0]


def _lists(place: Folder) -> Iterator[list[Path]]:
    """Yield the lists of a folder, and those of each folder below it without videos."""
    yield [place.path / name for name in place.files if name.endswith(LIST_SUFFIXES)]
    for name in place.folders:
        if name not in place.class_folders:
            files = sorted(path for path in (place.path / name).iterdir() if path.suffix in LIST_SUFFIXES)
            yield files[:MOST_TABLES]


def _families(files: Iterable[Path], place: Folder) -> dict[str, dict[str, Path]]:
    """Files by what their names share, and by the split that each is for; only those with a list for training."""
    found: dict[str, dict[str, Path]] = {}
    for path in files:
        words = re.split(r"[\W_]+", path.stem.casefold())
        matches = [
            (n, match) for n, word in enumerate(words) if (match := _WORD.fullmatch(word)) and match[1] in SPLITS
        ]
        if len(matches) == 1:
            number, match = matches[0]
            words[number] = f"*{match[2]}"
            found.setdefault(" ".join((*words, path.suffix)), {})[SPLITS[match[1]]] = path
    return {name: tables for name, tables in found.items() if "train" in tables and _is_list(tables["train"], place)}


def _is_list(path: Path, place: Folder) -> bool:
    """Whether a file lists labelled videos: those of the folder, if it has any."""
    try:
        table = read_table(path)
        return is_charades(table) or is_kinetics(table) or not place.videos or _finds_videos(table, place)
    except DataSetError:
        return False


def _finds_videos(table: Table, place: Folder) -> bool:
    """Whether one of the first videos of a table is in the folder, even if it is in several places there."""
    columns = find_columns(table)
    locator = Locator(table.path, PathRules(data=place.path))
    return any(locator.is_there(path_of(table, row, columns)) for row in table.rows[:TRIED_ROWS])


def _read_files(
    files: Sequence[tuple[Path, str | None]], rules: PathRules, source: str | None, by_folder: bool = False
) -> Entries:
    """Read the tables of a data set, each with the split of all its rows if that is known."""
    parts: list[Part] = []
    unlabelled: list[str] = []
    folders: dict[Path, None] = {}
    for path, split in files:
        try:
            table = read_table(path)
            entries = read_any_table(table, replace(rules, split=split), by_folder)
        except Unlabelled as error:
            if split in (None, "train"):
                raise
            unlabelled.append(f"{error}; passed over")
            continue
        folders |= dict.fromkeys(class_folders(table, rules))
        parts.append(Part(entries, split, _is_by_folder(table)))
    merged = merge(parts, source, lambda entries: name_numbers(entries, tuple(folders)))
    return replace(merged, notes=(*merged.notes, *unlabelled), passed_over=merged.passed_over + len(unlabelled))


def _is_by_folder(table: Table) -> bool:
    return table.layout == LIST_OF_PATHS


def _beside_folders(found: Entries, place: Folder, table: str) -> Entries:
    """Note that the table counts and not the folders, where these could be classes."""
    found = _with_unused(found, place)
    classes = set(place.class_folders)
    if len(classes) < 2 or all(name.casefold() in SPLITS for name in classes):
        return found
    if all(len(entry.labels) == 1 and entry.labels[0] in entry.path.parts for entry in found.entries):
        return found
    note = (
        f"{place.path}: the labels are those of {table}, and not the names of the folders "
        f"{shortened(sorted(classes), SHOWN)}; to take the folders as classes, move {table} elsewhere"
    )
    return replace(found, notes=(*found.notes, note))


def _with_unused(found: Entries, place: Folder) -> Entries:
    """Count the videos of a folder that its tables do not name."""
    named = {entry.path for entry in found.entries}
    unused = [parts for parts in place.videos if place.path.joinpath(*parts) not in named]
    if not unused:
        return found
    note = f"{place.path}: {len(unused)} videos are in no table, and are not used, such as {'/'.join(unused[0])}"
    return replace(found, notes=(*found.notes, note), passed_over=found.passed_over + len(unused))
