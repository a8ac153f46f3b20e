"""From what a table calls a video to the file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from nlvid_cli.errors import DataSetError
from nlvid_cli.video.suffixes import is_video_name

log = logging.getLogger(__name__)

TOLD = 5
"""Of many things that are wrong, so many are named."""

MAX_FOLDERS = 20_000
"""Folders that are looked into for files by their names alone."""


class Locator:
    """Finds the videos of a table below given folders.

    Attributes:
        table: the table.
        folders: that relative paths may be relative to: the root, or the table's own folder and the working directory.
    """

    def __init__(self, table: Path, root: Path | None) -> None:
        if root is not None and not root.is_dir():
            raise DataSetError(f"{root}: the root of the paths must be a folder that is there")
        self.table = table
        self.folders = (root,) if root is not None else tuple(dict.fromkeys((table.parent, Path())))

    def find(self, written: str) -> Path | None:
        """The file of that path, with or without the suffix of a video; None: there is none.

        Backslashes may separate folders, and a leading slash may mean the root of the data set.
        """
        for folder in self.folders:
            for path in dict.fromkeys((written, written.replace("\\", "/"))):
                for candidate in dict.fromkeys((folder / path, folder / path.lstrip("/"))):
                    if _is_file(candidate):
                        return candidate
        return None if is_video_name(written) else self.find_stem(written)

    def find_stem(self, stem: str, parents: Sequence[str] = ()) -> Path | None:
        """The video called ``stem`` and a suffix, up to two folders below.

        Args:
            stem: name of the file without its suffix; may begin with folders.
            parents: of several such files, one that lies in a folder of this name is preferred.
        """
        *folders, name = stem.replace("\\", "/").split("/")
        for index in self._stems:
            found = [path for path in index.get(name, ()) if not folders or _lies_in(path, folders)]
            if found:
                return min(found, key=lambda path: (not set(parents) & set(path.parent.parts), path))
        return None

    @cached_property
    def _stems(self) -> list[dict[str, list[Path]]]:
        """By folder: the videos in it and two levels below, by their stems."""
        return [_stems_below(folder) for folder in self.folders]

    def check_missing(self, missing: Mapping[int, str], total: int, skip: bool) -> None:
        """Raise for videos that are not there: which ones, where they were looked for, and what would help.

        Args:
            missing: videos as the table calls them, by line.
            total: of all videos in the table.
            skip: only warn, unless all are missing.
        """
        if not missing:
            return
        names = told((f"line {line}: {written}" for line, written in missing.items()), len(missing), "; ")
        looked = " and ".join(f"{folder}{os.sep}" for folder in self.folders)
        text = f"{self.table}: {len(missing)} of {total} videos are not there ({names})"
        if skip and len(missing) < total:
            log.warning("%s; left out", text)
            return
        raise DataSetError(f"{text}; looked in {looked}{self._advice(list(missing.values()))}")

    def _advice(self, missing: Sequence[str]) -> str:
        for folder in self._other_folders():
            found = sum(_is_file(folder / written) for written in missing)
            if found:
                return f"; {folder}{os.sep} has {'all' if found == len(missing) else found} of them: give it as --root"
        if missing[0].startswith(("http:", "https:", "s3:", "gs:")):
            return "; download them first"
        near = self._other_suffix(missing[0])
        return f"; there is {near}, though" if near else ""

    def _other_folders(self) -> Iterator[Path]:
        """Folders that people mean: those above the table's, and those below the ones that were tried."""
        above = self.table.absolute().parent
        for folder in self.folders:
            yield from (Path(entry.path) for entry in _entries(folder) if entry.is_dir())
        for steps, _ in zip(range(1, 5), above.parents, strict=False):
            yield Path(os.path.normpath(self.table.parent / Path(*[".."] * steps)))

    def _other_suffix(self, written: str) -> Path | None:
        """The same name with another suffix, or with other capitals."""
        for folder in self.folders:
            wanted = folder / written
            for entry in _entries(wanted.parent):
                stems = (Path(entry.name).stem.casefold(), wanted.stem.casefold())
                if stems[0] == stems[1] and is_video_name(entry.name):
                    return Path(entry.path)
        return None


def told(items: Iterable[str], count: int, separator: str = ", ") -> str:
    """The first of many, and how many more there are."""
    shown = list(islice(items, TOLD))
    return separator.join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")


def _lies_in(path: Path, folders: Sequence[str]) -> bool:
    return path.parent.parts[-len(folders) :] == tuple(folders)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names that are too long, or hold a NUL
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except (OSError, ValueError):
        return []


def _stems_below(folder: Path) -> dict[str, list[Path]]:
    stems: dict[str, list[Path]] = {}
    level = [folder]
    looked = 0
    for _ in range(3):
        below: list[Path] = []
        for place in level[: MAX_FOLDERS - looked]:
            for entry in _entries(place):
                if is_video_name(entry.name) and entry.is_file():
                    stems.setdefault(Path(entry.name).stem, []).append(place / entry.name)
                elif entry.is_dir():
                    below.append(place / entry.name)
        looked += len(level)
        level = below
    return stems
