"""Find the file of a video that a table names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nlvid_cli.datasets.labelled import SHOWN
from nlvid_cli.datasets.table_rows import SPLITS
from nlvid_cli.errors import DataSetError, shortened
from nlvid_cli.video.frame_names import holds_pictures
from nlvid_cli.video.suffixes import is_video_name

MAX_FOLDERS = 20_000
"""Number of folders searched for a file by its name alone."""


@dataclass(frozen=True)
class PathRules:
    """How to find the videos of a table.

    Attributes:
        root: Folder that paths are relative to; None for the folder of the table, then the working directory.
        skip_missing: Whether to leave out missing videos, with a warning, instead of refusing the table.
        data: Folder that the user named, if the table lies below it: paths may be relative to it, too.
        split: Split of the table; of several files of a name, one in a folder called like this is preferred.
    """

    root: Path | None = None
    skip_missing: bool = False
    data: Path | None = None
    split: str | None = None


class Locator:
    """Finds the videos of a table.

    Attributes:
        table: Path to the table.
        rules: How to find its videos.
        folders: Folders that paths may be relative to.
    """

    def __init__(self, table: Path, rules: PathRules) -> None:
        root = rules.root
        if root is not None and not root.is_dir():
            raise DataSetError(f"{root}: --root must be an existing folder")
        self.table = table
        self.rules = rules
        near = [table.parent, rules.data or table.parent, Path()] if root is None else [root]
        self.folders = tuple(dict.fromkeys(near))

    def find(self, written: str, parents: Sequence[str] = ()) -> Path | None:
        """Return the file of a path, with or without the suffix of a video, or its folder of pictures; None if missing.

        Backslashes may separate folders, and a leading slash may stand for the root of the data set. A name alone may
        be that of a file up to two folders deep. Accents may be coded in another way than in the name of the file.

        Args:
            written: Path in the table.
            parents: See :meth:`find_stem`.

        Raises:
            DataSetError: Files of this name are in several folders.
        """
        for folder in self.folders:
            for path in _spellings(written):
                for candidate in dict.fromkeys((folder / path, folder / path.lstrip("/"))):
                    if _is_file(candidate) or holds_pictures(candidate):
                        return candidate
        if not is_video_name(written):
            return self.find_stem(written, parents)
        name = _composed(written.replace("\\", "/").rsplit("/")[-1])
        stem = written[: -len(Path(name).suffix)]
        return self._find_below(stem, parents, lambda path: _composed(path.name).casefold() == name.casefold())

    def find_stem(self, stem: str, parents: Sequence[str] = ()) -> Path | None:
        """Return the video with this name and any suffix, up to two folders deep; None if it is missing.

        Args:
            stem: Name of the file without its suffix; may begin with folders.
            parents: Names of folders; of several such files, one in such a folder is preferred.

        Raises:
            DataSetError: Files of this name are in several folders.
        """
        return self._find_below(stem, parents, lambda _: True)

    def is_there(self, written: str) -> bool:
        """Whether there is a file of a path, or several."""
        try:
            return self.find(written) is not None
        except DataSetError:  # files of this name in several folders
            return True

    def _find_below(self, stem: str, parents: Sequence[str], fits: Callable[[Path], bool]) -> Path | None:
        *folders, name = _composed(stem.replace("\\", "/")).split("/")
        for index in self._stems:
            found = [path for path in index.get(name, ()) if (not folders or _lies_in(path, folders)) and fits(path)]
            if found:
                return self._one_of(found, parents)
        return None

    def _one_of(self, found: list[Path], parents: Sequence[str]) -> Path:
        """Choose among files of the same name: one in a preferred folder; else they must be in one folder."""
        names = {_composed(name).casefold() for name in (*parents, self.rules.split or "")}
        wanted = names | {name for name, split in SPLITS.items() if split in names}
        shared = [len(wanted & {_composed(part).casefold() for part in path.parent.parts}) for path in found]
        found = sorted(path for path, count in zip(found, shared, strict=True) if count == max(shared))
        other = next((path for path in found if path.parent != found[0].parent), None)
        if other is not None:
            raise DataSetError(
                f"{self.table}: {found[0].name} is {found[0]} or {other}; write the folder into the path, or name it "
                f"with --root {found[0].parent}"
            )
        return found[0]

    @cached_property
    def _stems(self) -> list[dict[str, list[Path]]]:
        """For each folder, the videos in it and two levels below, by stem."""
        return [_stems_below(folder) for folder in self.folders]

    def check_missing(self, missing: Mapping[int, str], total: int) -> tuple[str, ...]:
        """Raise an error if videos are missing: which ones, where they were looked for, and what may help.

        Args:
            missing: Missing videos as the table names them, by line.
            total: Number of videos in the table.

        Returns:
            A note, if videos are missing and may be left out.

        Raises:
            DataSetError: Videos are missing.
        """
        if not missing:
            return ()
        names = shortened([f"line {line}: {written}" for line, written in missing.items()], SHOWN, "; ")
        looked = " and ".join(f"{folder}{os.sep}" for folder in self.folders)
        text = f"{self.table}: {len(missing)} of {total} videos are missing ({names})"
        if self.rules.skip_missing and len(missing) < total:
            return (f"{text}; skipped",)
        raise DataSetError(f"{text}; searched {looked}{self._advice(list(missing.values()))}")

    def _advice(self, missing: Sequence[str]) -> str:
        for folder in self._other_folders():
            found = sum(_is_file(folder / written) for written in missing)
            if found:
                return (
                    f"; {folder}{os.sep} has {'all' if found == len(missing) else found} of them; try --root {folder}"
                )
        if missing[0].startswith(("http:", "https:", "s3:", "gs:")):
            return "; download them first"
        near = self._other_suffix(missing[0])
        return f"; did you mean {near}?" if near else ""

    def _other_folders(self) -> Iterator[Path]:
        """Folders that the paths may be relative to: those above the table, and those below the searched ones."""
        above = self.table.absolute().parent
        for folder in self.folders:
            yield from (Path(entry.path) for entry in _entries(folder) if entry.is_dir())
        for steps, _ in zip(range(1, 5), above.parents, strict=False):
            yield Path(os.path.normpath(self.table.parent / Path(*[".."] * steps)))

    def _other_suffix(self, written: str) -> Path | None:
        """A file of the same name with another suffix, or other capitals."""
        for folder in self.folders:
            wanted = folder / written
            for entry in _entries(wanted.parent):
                stems = (Path(entry.name).stem.casefold(), wanted.stem.casefold())
                if stems[0] == stems[1] and is_video_name(entry.name):
                    return Path(entry.path)
        return None


def _lies_in(path: Path, folders: Sequence[str]) -> bool:
    return tuple(map(_composed, path.parent.parts[-len(folders) :])) == tuple(folders)


def _spellings(path: str) -> Iterator[str]:
    """Yield a path as it is written, with slashes for backslashes, and with accents coded in both ways."""
    seen = dict.fromkeys((path, path.replace("\\", "/")))
    yield from seen
    if not path.isascii():
        yield from (unicodedata.normalize("NFC", one) for one in seen)
        yield from (unicodedata.normalize("NFD", one) for one in seen)


def _composed(name: str) -> str:
    """Code accents as one letter each: some systems store names with the letter and the accent apart."""
    return unicodedata.normalize("NFC", name)


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
                    stems.setdefault(_composed(Path(entry.name).stem), []).append(place / entry.name)
                elif entry.is_dir():
                    below.append(place / entry.name)
        looked += len(level)
        level = below
    return stems
