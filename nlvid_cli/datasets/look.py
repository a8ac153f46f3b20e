"""What there is at the place that the user named: a folder, walked once, or a table."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nlvid_cli.datasets.table import Table, read_table
from nlvid_cli.errors import DataSetError
from nlvid_cli.video.suffixes import is_video_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder:
    """A folder and all that lies below it; hidden files and folders are left out.

    Attributes:
        path: of the folder.
        folders: directly in it, sorted.
        files: that are not videos, directly in it, sorted.
        videos: anywhere below, as parts of their paths from the folder on, sorted.
        others: anywhere below: how many files that are not videos, by suffix.
    """

    path: Path
    folders: tuple[str, ...]
    files: tuple[str, ...]
    videos: tuple[tuple[str, ...], ...]
    others: dict[str, int]

    @cached_property
    def class_folders(self) -> tuple[str, ...]:
        """Folders directly in it that have videos somewhere below."""
        return tuple(sorted({parts[0] for parts in self.videos if len(parts) > 1}))


Place = Folder | Table


@dataclass(frozen=True)
class Wanted:
    """What the user says about a data set beyond its place.

    Attributes:
        root: folder that paths in tables are relative to; None: the table's own, then the working directory.
        skip_missing: leave out the videos of a table that are not there, instead of refusing the table.
    """

    root: Path | None = None
    skip_missing: bool = False


def look(path: Path) -> Place:
    """Walk the folder, or read the table, at ``path``.

    Raises:
        DataSetError: nothing is there, or it can be neither.
    """
    if path.is_dir():
        return _walk_folder(path)
    if not path.exists():
        raise DataSetError(f"{path}: no such file or folder")
    return read_table(path)


def _walk_folder(path: Path) -> Folder:
    videos: list[tuple[str, ...]] = []
    others: Counter[str] = Counter()
    for parts in _walk(path, (), frozenset({_identity(path)})):
        if is_video_name(parts[-1]):
            videos.append(parts)
        else:
            others[Path(parts[-1]).suffix.lower() or "no suffix"] += 1
    entries = list(_visible(path))
    return Folder(
        path,
        tuple(sorted(entry.name for entry in entries if entry.is_dir())),
        tuple(sorted(entry.name for entry in entries if entry.is_file() and not is_video_name(entry.name))),
        tuple(sorted(videos)),
        dict(others),
    )


def _walk(folder: Path, parts: tuple[str, ...], above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, ...]]:
    """Parts of the paths of all files; links are followed unless they lead back up."""
    for entry in _visible(folder):
        place = (*parts, entry.name)
        if not entry.is_dir():
            yield place
            continue
        identity = _identity(Path(entry.path))
        if identity in above:
            log.warning("%s: this link leads back to a folder that holds it; left out", entry.path)
            continue
        yield from _walk(Path(entry.path), place, above | {identity})


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith((".", "__MACOSX", "@eaDir")))
    except OSError as error:
        raise DataSetError(f"{folder}: cannot look into this folder ({error.strerror})") from None


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
