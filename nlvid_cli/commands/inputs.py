"""From what the user names to paths of videos: files, folders, ``@list`` and ``-``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from nlvid_cli.errors import UsageError
from nlvid_cli.video.suffixes import is_video_name

log = logging.getLogger(__name__)


def expand_inputs(names: Iterable[str]) -> list[str]:
    """Paths of the videos that ``names`` stand for, in their order, each once.

    A folder stands for the videos in it and below it, in the order of their names; ``@list.txt`` for the paths in
    that file, one a line, relative to the current folder or else to the list's own; ``-`` for the paths on stdin.

    Raises:
        UsageError: if a list cannot be read, or nothing is left.
    """
    names = list(names)
    paths = list(dict.fromkeys(path for name in names for path in _expand(name)))
    if not paths:
        raise UsageError(f"no video in {', '.join(names)}")
    return paths


def is_one_video(names: list[str]) -> bool:
    """Whether the user asked for exactly one video by its name."""
    return len(names) == 1 and names[0] != "-" and not names[0].startswith("@") and not os.path.isdir(names[0])


def _expand(name: str) -> Iterator[str]:
    if name == "-":
        yield from _lines(sys.stdin.buffer.read())
    elif name.startswith("@") and not os.path.exists(name):
        yield from _listed(Path(name[1:]))
    elif os.path.isdir(name):
        yield from _in_folder(name)
    else:
        yield name


def _listed(file: Path) -> Iterator[str]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"@{file}: cannot read the list ({error.strerror})") from None
    for path in _lines(content):
        beside = os.path.join(file.parent, path)
        yield beside if not os.path.exists(path) and os.path.exists(beside) else path


def _lines(content: bytes) -> list[str]:
    content = content.removeprefix(b"\xef\xbb\xbf")  # a byte order mark, as Windows editors write it
    return [os.fsdecode(line) for line in content.splitlines() if line.strip()]


def _in_folder(folder: str) -> Iterator[str]:
    def tell(error: OSError) -> None:
        log.warning("%s: cannot look into this folder (%s)", error.filename, error.strerror)

    for parent, folders, files in os.walk(folder, onerror=tell):
        folders.sort()
        for file in sorted(files):
            if is_video_name(file):
                yield os.path.join(parent, file)
