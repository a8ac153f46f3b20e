"""The videos in a folder: by suffix, and by their first bytes where the suffix does not tell."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator

from nlvid_cli.video.frame_names import frames_among, natural_order
from nlvid_cli.video.signatures import HEAD_BYTES, begins_like_video
from nlvid_cli.video.suffixes import SHARED_SUFFIXES, is_video_name

log = logging.getLogger(__name__)

FEWEST_FRAMES = 2
"""Pictures that make a video."""


def videos_below(folder: str, pass_over: Callable[[str], None]) -> Iterator[str]:
    """Yield the videos in a folder and below, in order of name, and call ``pass_over`` with each other file.

    Each folder is visited once, so that circles of links end. A warning names each folder that cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            log.warning("%s: cannot open this folder (%s)", current, error.strerror)
            continue
        folders = []
        for entry in entries:
            if _is_folder(entry):
                folders.append(entry.path)
            elif is_video_file(entry):
                yield entry.path
            else:
                pass_over(entry.path)
        waiting += reversed(folders)


def frame_folders_of(files: Iterable[str], named: str, pass_over: Callable[[str], None]) -> Iterator[str]:
    """Yield the folders that hold the frames of a video, in order of name.

    Args:
        files: Paths of files, without those of videos.
        named: Folder that the user named. If no folder has pictures with numbers, it may have others: below it, two
            covers of albums are no video.
        pass_over: Called with each file that is no frame.
    """
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, name = os.path.split(file)
        folders.setdefault(folder, []).append(name)
    found = {folder: frames_among(names) for folder, names in folders.items()}
    videos = {folder for folder, frames in found.items() if len(frames.names) >= FEWEST_FRAMES}
    numbered = {folder for folder in videos if any(map(str.isdecimal, "".join(found[folder].names)))}
    videos = numbered or {folder for folder in videos if os.path.normpath(folder) == os.path.normpath(named)}
    for folder in sorted(folders, key=natural_order):
        if folder in videos:
            yield folder
        for name in sorted({*folders[folder]} - {*(found[folder].names if folder in videos else ())}):
            pass_over(os.path.join(folder, name))


def is_video_file(entry: os.DirEntry[str]) -> bool:
    """Whether a file of a folder is a video.

    Its suffix tells, unless other files share it (:data:`nlvid_cli.video.suffixes.SHARED_SUFFIXES`), or it is missing,
    or holds more than letters: then the first bytes of the file count.
    """
    name = entry.name
    if name.startswith("._"):  # attributes of another file, as macOS stores them
        return False
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in SHARED_SUFFIXES:
        if is_video_name(name):
            return True
        if suffix[1:].isalpha():
            return False
    head = _head(entry)
    return is_video_name(name) if head is None else begins_like_video(head)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a circle
        return False


def _head(entry: os.DirEntry[str]) -> bytes | None:
    """Return the first bytes of a file; None if it cannot be read."""
    try:
        if not entry.is_file():
            return None
        with open(entry.path, "rb", buffering=0) as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return None
