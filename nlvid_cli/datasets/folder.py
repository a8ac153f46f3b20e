"""Where a data set lies: a folder, walked once, or a table."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nlvid_cli.datasets.table import read_table
from nlvid_cli.datasets.table_rows import Table
from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.folder import is_video_file
from nlvid_cli.inputs.passed_over import PassedOver

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder:
    """A folder and everything below it, without hidden files and folders.

    Attributes:
        path: Path to the folder.
        folders: Names of the folders directly in it, sorted.
        files: Names of the files directly in it that are not videos, sorted.
        videos: Videos anywhere below, as the parts of their paths relative to the folder, sorted.
        others: Files anywhere below that are not videos, counted.
    """

    path: Path
    folders: tuple[str, ...]
    files: tuple[str, ...]
    videos: tuple[tuple[str, ...], ...]
    others: PassedOver

    @cached_property
    def class_folders(self) -> tuple[str, ...]:
        """Names of the folders directly in it that hold videos at any depth, sorted."""
        return tuple(sorted({parts[0] for parts in self.videos if len(parts) > 1}))


FolderOrTable = Folder | Table


def open_folder_or_table(path: Path) -> FolderOrTable:
    """Walk a folder, or read a table.

    Raises:
        DataSetError: The path does not exist, or is neither.
    """
    if path.is_dir():
        return _walk_folder(path)
    if not path.exists():
        raise DataSetError(f"{path}: no such file or folder")
    return read_table(path)


def _walk_folder(path: Path) -> Folder:
    videos: list[tuple[str, ...]] = []
    files: list[str] = []
    others = PassedOver()
    for parts, entry in _walk(path, (), frozenset({_identity(path)})):
        if is_video_file(entry):
            videos.append(parts)
            continue
        others.add(entry.name)
        if len(parts) == 1 and entry.is_file():
            files.append(entry.name)
    folders = sorted(entry.name for entry in _visible(path) if entry.is_dir())
    return Folder(path, tuple(folders), tuple(sorted(files)), tuple(sorted(videos)), others)


def _walk(
    folder: Path, parts: tuple[str, ...], above: frozenset[tuple[int, int]]
) -> Iterator[tuple[tuple[str, ...], os.DirEntry[str]]]:
    """Yield all files, with the parts of their paths. Links are followed unless they lead back up."""
    for entry in _visible(folder):
        place = (*parts, entry.name)
        if not entry.is_dir():
            yield place, entry
            continue
        identity = _identity(Path(entry.path))
        if identity in above:
            log.warning("%s: skipped, since this link leads back to a folder that contains it", entry.path)
            continue
        yield from _walk(Path(entry.path), place, above | {identity})


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith((".", "__MACOSX", "@eaDir")))
    except OSError as error:
        raise DataSetError(f"{folder}: cannot open this folder ({error.strerror})") from None


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
