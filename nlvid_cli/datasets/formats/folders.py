"""A folder per class, and ``train/``, ``val/`` and ``test/`` with such folders.

::

    DATA/run/a.mp4            DATA/train/run/a.mp4
    DATA/run/daria/b.mp4      DATA/train/walk/c.mp4      videos may be deeper: the first folder is the class
    DATA/walk/c.mp4           DATA/val/run/d.mp4
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from nlvid_cli.datasets.entries import Entries, Entry
from nlvid_cli.datasets.folder import Folder, FolderOrTable
from nlvid_cli.datasets.formats.locate import PathRules
from nlvid_cli.datasets.labelled import SHOWN
from nlvid_cli.datasets.table_rows import SPLITS
from nlvid_cli.errors import DataSetError, shortened
from nlvid_cli.inputs.passed_over import FRAMES_ADVICE

log = logging.getLogger(__name__)


def has_split_folders(place: FolderOrTable) -> bool:
    """Whether a folder called train, val, test or the like holds folders with videos."""
    if not isinstance(place, Folder):
        return False
    deep = {parts[0] for parts in place.videos if len(parts) > 2}
    return any(name.casefold() in SPLITS for name in deep)


def read_split_folders(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read the videos of ``train/CLASS/``, ``val/CLASS/`` and ``test/CLASS/``."""
    assert isinstance(place, Folder)
    strangers = [name for name in place.class_folders if name.casefold() not in SPLITS]
    if strangers:
        splits = [name for name in place.class_folders if name.casefold() in SPLITS]
        raise DataSetError(
            f"{place.path}: is {splits[0]}/ a split or a class? Beside it "
            f"{shortened(strangers, SHOWN)} hold videos too; move these elsewhere, or rename the class"
        )
    entries = []
    for parts in place.videos:
        if len(parts) > 2:
            entries.append(_entry(place.path, parts[:2], parts, SPLITS[parts[0].casefold()]))
    _check_empty_folders(place, {entry.labels[0] for entry in entries}, place.class_folders)
    _tell_left_out(place, len(place.videos) - len(entries))
    source = " and ".join(f"{name}/" for name in place.class_folders) + " of folders per class"
    return Entries(tuple(entries), source, passed_over=_left_out(place, entries))


def has_class_folders(place: FolderOrTable) -> bool:
    """Whether folders in this folder hold videos."""
    return isinstance(place, Folder) and bool(place.class_folders)


def read_class_folders(place: FolderOrTable, rules: PathRules) -> Entries:
    """Read the videos of ``CLASS/``.

    Raises:
        DataSetError: The folders are called like splits, so that no labels are there.
    """
    assert isinstance(place, Folder)
    notes = _notes_on_split_names(place)
    entries = [_entry(place.path, parts[:1], parts, None) for parts in place.videos if len(parts) > 1]
    _check_empty_folders(place, {entry.labels[0] for entry in entries}, ("",))
    _tell_left_out(place, len(place.videos) - len(entries))
    return Entries(tuple(entries), "folder per class", notes=notes, passed_over=_left_out(place, entries))


def _notes_on_split_names(place: Folder) -> tuple[str, ...]:
    """Note a class that is called like a split; raise an error where several or all folders are."""
    splits = [name for name in place.class_folders if name.casefold() in SPLITS]
    others = [name for name in place.class_folders if name not in splits]
    if not splits:
        return ()
    if not others or len(splits) > 1:
        beside = f"; beside them {shortened(others, SHOWN)} hold videos too" if others else ""
        raise DataSetError(
            f"{place.path}: {shortened(splits, SHOWN)} are splits, and their videos have no labels{beside}; put the "
            f"videos of each class into a folder, such as {splits[0]}/run/, or a table with the columns path and label "
            f"into each split; rename the folders if they are classes"
        )
    return (f"{place.path}: the folder {splits[0]} is taken as a class, like {shortened(others, SHOWN)}",)


def _left_out(place: Folder, entries: Sequence[Entry]) -> int:
    return len(place.videos) - len(entries) + place.others.kinds.total()


def _entry(folder: Path, place: tuple[str, ...], parts: tuple[str, ...], split: str | None) -> Entry:
    path = folder.joinpath(*parts)
    return Entry(str(folder.joinpath(*place)), str(path), path, (place[-1],), split)


def _check_empty_folders(place: Folder, classes: set[str], parents: tuple[str, ...]) -> None:
    """Raise an error for a class folder without videos, below any of the parents."""
    for parent in parents:
        for folder in sorted((place.path / parent).iterdir()):
            hidden = folder.name.startswith((".", "__MACOSX", "@eaDir"))
            if folder.is_dir() and not hidden and folder.name not in classes:
                advice = FRAMES_ADVICE if place.others.are_frames else "remove it, or fill it"
                raise DataSetError(f"{folder}: no video in this class folder ({advice})")


def _tell_left_out(place: Folder, loose: int) -> None:
    if loose:
        log.warning("%s: skipped %d videos outside of class folders", place.path, loose)
    if place.others:
        log.info("%s: %s", place.path, place.others)
