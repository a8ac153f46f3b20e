"""Find the videos that the user names: files, folders, patterns, ``@list``, ``-``, tables and addresses."""

from __future__ import annotations

import glob
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nlvid_cli.errors import UsageError, shortened
from nlvid_cli.inputs.folder import frame_folders_of, videos_below
from nlvid_cli.inputs.passed_over import FRAMES_ADVICE, PassedOver
from nlvid_cli.inputs.text import decode_text, split_lines
from nlvid_cli.video.remote import RemotePath, VideoPath, expand_remote, video_path
from nlvid_cli.video.segment import Segment, Stretch

log = logging.getLogger(__name__)

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
"""Files that name videos in a column."""

_FRAMES_AND_LABEL = re.compile(r"(.+?)[\s,]+([0-9]{1,9})[\s,]+[0-9]+")
"""A line of the lists of TSN, MMAction2 and GluonCV: a folder of pictures, how many of them, and a label."""

SHOWN_NAMES = 5
"""Names to repeat in an error."""


def find_videos(names: Iterable[str]) -> list[VideoPath]:
    """Find the videos that the user names, each once, whatever the stretches; see :func:`find_segments`."""
    paths = (segment.path for segment in find_segments(names))
    return list(dict.fromkeys(path if isinstance(path, RemotePath) else os.fspath(path) for path in paths))


def find_segments(names: Iterable[str]) -> list[Segment]:
    """Find the videos that the user names. A note counts the files that folders and patterns pass over.

    Args:
        names: Each of these may be

            - a file;
            - a folder, for the videos in it and below, in order of name: see :mod:`nlvid_cli.inputs.folder`; if there
              are none, for the folders of numbered pictures, each of which is a video;
            - a pattern with ``*``, ``?``, ``[...]`` or ``**``, if no file has that name;
            - ``@list.txt``, for the paths in that file, one a line; ``-`` for a list on stdin;
            - a CSV, TSV or Parquet file, or a pattern for such files, for the paths in its column of paths, and the
              stretches in its columns of starts and ends;
            - an address.

            Paths in lists and tables are relative to the current folder, or else to the folder of the list.

    Returns:
        Videos in the order of the names, each, or each stretch of it, once. Different spellings of a folder (``v``,
        ``./v``, ``v//``) give equal paths.

    Raises:
        UsageError: A list cannot be read, a pattern matches nothing, or there is no video at all.
    """
    names = list(names)
    here = os.getcwd()
    found: dict[Segment, Segment] = {}
    others: dict[str, None] = {}  # a set in the order of the names

    def pass_over(path: str) -> None:
        others[os.path.normpath(os.path.join(here, path))] = None

    for name in names:
        for segment in _expand(name, pass_over):
            path = _plain(segment.path)
            known = path if isinstance(path, RemotePath) else os.path.join(here, path)
            found.setdefault(Segment(known, segment.stretch), Segment(path, segment.stretch))
    paths = {segment.path for segment in found}
    passed_over = PassedOver()
    for other in others:
        if other not in paths:
            passed_over.add(other)
    if not found:
        raise UsageError(f"no video in {shortened(names, SHOWN_NAMES)}{_what_is_there(passed_over)}")
    if passed_over:
        log.info("%s", passed_over)
    return list(found.values())


def _what_is_there(passed_over: PassedOver) -> str:
    if not passed_over:
        return ""
    return f": {passed_over}{'; ' + FRAMES_ADVICE if passed_over.are_frames else ''}"


def is_one_video(names: Sequence[str]) -> bool:
    """Return whether the user named exactly one video: not a folder, a list, a table or a pattern."""
    if len(names) != 1 or names[0] == "-" or names[0].startswith("@") or os.path.isdir(names[0]):
        return False
    is_pattern = glob.has_magic(names[0]) and not os.path.exists(names[0])
    return not is_pattern and not _is_table(names[0])


def _plain(path: VideoPath | Path) -> VideoPath:
    """Remove ``./`` and doubled slashes. ``..`` stays, since what it means depends on links."""
    return path if isinstance(path, RemotePath) or path == "" else str(Path(path))


def _expand(name: str, pass_over: Callable[[str], None]) -> Iterator[Segment]:
    path = video_path(name)
    if name == "-":
        yield from (_listed_segment(line, Path()) for line in _lines(sys.stdin.buffer.read(), "stdin"))
    elif isinstance(path, RemotePath):
        yield from map(Segment, expand_remote(path, pass_over))
    elif name.startswith("@") and not os.path.exists(name):
        yield from _listed(Path(name[1:]))
    elif os.path.isdir(name):
        yield from map(Segment, _in_folder(name, pass_over))
    elif glob.has_magic(name) and not os.path.exists(name):
        for match in _matching(name, pass_over):
            yield from _file(match)
    else:
        yield from _file(name)


def _in_folder(name: str, pass_over: Callable[[str], None]) -> Iterator[str]:
    """Yield the videos below a folder; if there are none, the folders of numbered pictures."""
    others: list[str] = []
    videos = [*videos_below(name, others.append)]
    if videos:
        yield from videos
        for other in others:
            pass_over(other)
    else:
        yield from frame_folders_of(others, pass_over)


def _file(name: str) -> Iterator[Segment]:
    """Yield a file, or the videos and stretches in it if it is a table."""
    if not _is_table(name):
        yield Segment(name)
        return
    from nlvid_cli.inputs.path_list import read_path_rows

    for row in read_path_rows(Path(name)):
        segment, stretch = _listed_segment(row.path, Path(name).parent), row.stretch
        if stretch is None and row.frames and not isinstance(segment.path, RemotePath) and os.path.isdir(segment.path):
            stretch = Stretch(end_frame=row.frames)
        yield segment if stretch is None else replace(segment, stretch=stretch)


def _is_table(name: str) -> bool:
    return name.lower().endswith(TABLE_SUFFIXES)


def _matching(pattern: str, pass_over: Callable[[str], None]) -> Iterator[str]:
    """Yield the files that match: tables only if the pattern is one of tables. Folders are told, except for ``**``."""
    paths = sorted(glob.iglob(pattern, recursive=True))
    if not paths:
        raise UsageError(f"nothing matches {pattern}")
    folders = 0
    for path in paths:
        if os.path.isdir(path):
            folders += 1
        elif _is_table(path) and not _is_table(pattern):
            pass_over(path)
        else:
            yield path
    if folders and "**" not in pattern:
        count = f"{folders} folder{'s' * (folders > 1)}"
        log.info("%s: %s passed over; name them without a pattern, or add /** to it", pattern, count)


def _listed(file: Path) -> Iterator[Segment]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"@{file}: cannot read the list ({error.strerror})") from None
    yield from (_listed_segment(line, file.parent) for line in _lines(content, f"@{file}"))


def _listed_segment(line: str, folder: Path) -> Segment:
    """Return the video of a line: a path, or ``path frames label`` where the path is a folder of pictures."""
    path = _near(line, folder)
    match = None if isinstance(path, RemotePath) or os.path.exists(path) else _FRAMES_AND_LABEL.fullmatch(line.strip())
    if match is not None:
        frames = _near(match[1], folder)
        if isinstance(frames, str) and os.path.isdir(frames) and int(match[2]):
            return Segment(frames, Stretch(end_frame=int(match[2])))
    return Segment(path)


def _near(name: str, folder: Path) -> VideoPath:
    """Return a path of a list: relative to the current folder, or else to the folder of the list."""
    path = video_path(name)
    if isinstance(path, RemotePath) or os.path.exists(path):
        return path
    beside = os.path.join(folder, path)
    return beside if os.path.exists(beside) else path


def _lines(content: bytes, where: str) -> list[str]:
    return [line for line in split_lines(decode_text(content, where, keep_bytes=True)) if line.strip()]
