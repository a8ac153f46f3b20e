"""Find the videos that the user names: files, folders, patterns, ``@list``, ``-``, tables and addresses."""

from __future__ import annotations

import glob
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlvid_cli.errors import UsageError, shortened
from nlvid_cli.inputs.folder import frame_folders_of, videos_below
from nlvid_cli.inputs.passed_over import PassedOver
from nlvid_cli.inputs.text import decode_text, split_lines
from nlvid_cli.video.frame_names import FRAME_RATE, natural_order
from nlvid_cli.video.remote import RemotePath, VideoPath, expand_remote, video_path
from nlvid_cli.video.segment import Segment, Stretch
from nlvid_cli.video.suffixes import is_picture_name

log = logging.getLogger(__name__)

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
"""Files that name videos in a column."""

_FRAMES_AND_LABEL = re.compile(r"(.+?)[\s,]+([0-9]{1,9})[\s,]+[0-9]+")
"""A line of the lists of TSN, MMAction2 and GluonCV: a folder of pictures, how many of them, and a label."""

SHOWN_NAMES = 5
"""Names to repeat in an error."""


@dataclass(frozen=True, slots=True)
class FrameFolders:
    """Whether folders of pictures are videos.

    Attributes:
        wanted: Whether each of them is one, wherever a video is named. Otherwise only those are that a list names with
            their number of frames.
        fps: Frames per second; None: :data:`nlvid_cli.video.frame_names.FRAME_RATE` is assumed, and a warning says so.
    """

    wanted: bool = False
    fps: float | None = None

    @property
    def rate(self) -> float:
        """Frames per second of each of them."""
        return FRAME_RATE if self.fps is None else self.fps


def find_videos(names: Iterable[str]) -> list[VideoPath]:
    """Find the videos that the user names, each once, whatever the stretches; see :func:`find_segments`."""
    paths = (segment.path for segment in find_segments(names))
    return list(dict.fromkeys(path if isinstance(path, RemotePath) else os.fspath(path) for path in paths))


def find_segments(
    names: Iterable[str], part: Stretch | None = None, frames: FrameFolders = FrameFolders()
) -> list[Segment]:
    """Find the videos that the user names. A note counts the files that folders and patterns pass over.

    Args:
        names: Each of these may be

            - a file;
            - a folder, for the videos in it and below, in order of name: see :mod:`nlvid_cli.inputs.folder`; and, if
              wanted, for the folders of frames, after these;
            - a pattern with ``*``, ``?``, ``[...]`` or ``**``, if no file has that name;
            - ``@list.txt``, for the paths in that file, one a line; ``-`` for a list on stdin;
            - a CSV, TSV or Parquet file, or a pattern for such files, for the paths in its column of paths, and the
              stretches in its columns of starts and ends;
            - an address.

            Paths in lists and tables are relative to the current folder, or else to the folder of the list.
        part: Part of each video; None: all of it, or what a table says.
        frames: Which folders are videos, and their rate.

    Returns:
        Videos in the order of the names, each, or each stretch of it, once. Different spellings of a folder (``v``,
        ``./v``, ``v//``) give equal paths.

    Raises:
        UsageError: A list cannot be read, a pattern matches nothing, or there is no video at all; a folder holds only
            pictures, and folders of frames are not wanted, or are, and there is none; or a part is asked for twice.
    """
    names = list(names)
    here = os.getcwd()
    found: dict[Segment, Segment] = {}
    others: dict[str, None] = {}  # a set in the order of the names

    def pass_over(path: str) -> None:
        others[os.path.normpath(os.path.join(here, path))] = None

    for name in names:
        for segment in _expand(name, frames, pass_over):
            path = _plain(segment.path)
            known = path if isinstance(path, RemotePath) else os.path.join(here, path)
            found.setdefault(replace(segment, path=known), replace(segment, path=path))
    paths = {segment.path for segment in found}
    passed_over = PassedOver()
    for other in others:
        if other not in paths:
            passed_over.add(other)
    if not found:
        raise UsageError(f"no video in {shortened(names, SHOWN_NAMES)}{f': {passed_over}' if passed_over else ''}")
    if passed_over:
        log.info("%s", passed_over)
    segments = list(found.values())
    _check_frames(segments, frames)
    return segments if part is None else [_part_of(segment, part) for segment in segments]


def _check_frames(segments: Sequence[Segment], frames: FrameFolders) -> None:
    if any(segment.fps is not None for segment in segments):
        if frames.fps is None:
            log.warning("folders of frames have no times: %g frames per second are assumed (--fps)", FRAME_RATE)
    elif frames.wanted:
        raise UsageError("--frames: there is no folder of frames among the videos; leave it out, or name the folder")
    elif frames.fps is not None:
        raise UsageError("--fps is the rate of folders of frames, which --frames takes as videos")


def _part_of(segment: Segment, part: Stretch) -> Segment:
    if segment.stretch is not None:
        raise UsageError(f"{segment}: the list says which part; leave --start and --end out, or name the video itself")
    return replace(segment, stretch=part)


def is_one_video(names: Sequence[str], segments: Sequence[Segment]) -> bool:
    """Return whether the user named exactly one video: not a folder of videos, a list, a table or a pattern.

    Args:
        names: What the user named.
        segments: What :func:`find_segments` made of it.
    """
    if len(names) != 1 or names[0] == "-" or names[0].startswith("@"):
        return False
    if os.path.isdir(names[0]):
        return [segment.path for segment in segments] == [_plain(names[0])]  # a folder of frames
    is_pattern = glob.has_magic(names[0]) and not os.path.exists(names[0])
    return not is_pattern and not _is_table(names[0])


def _plain(path: VideoPath | Path) -> VideoPath:
    """Remove ``./`` and doubled slashes. ``..`` stays, since what it means depends on links."""
    return path if isinstance(path, RemotePath) or path == "" else str(Path(path))


def _expand(name: str, frames: FrameFolders, pass_over: Callable[[str], None]) -> Iterator[Segment]:
    path = video_path(name)
    if name == "-":
        yield from _listed(sys.stdin.buffer.read(), "stdin", Path(), frames)
    elif isinstance(path, RemotePath):
        yield from map(Segment, expand_remote(path, pass_over))
    elif name.startswith("@") and not os.path.exists(name):
        yield from _listed(_read_list(Path(name[1:])), name, Path(name[1:]).parent, frames)
    elif os.path.isdir(name):
        yield from _in_folder(name, frames, pass_over)
    elif glob.has_magic(name) and not os.path.exists(name):
        for match in _matching(name, frames, pass_over):
            yield from _in_folder(match, frames, pass_over) if os.path.isdir(match) else _file(match, frames)
    elif frames.wanted and is_picture_name(name):
        raise UsageError(f"{name}: a picture; name the folder that holds the frames")
    else:
        yield from _file(name, frames)


def _in_folder(name: str, frames: FrameFolders, pass_over: Callable[[str], None]) -> Iterator[Segment]:
    """Yield the videos below a folder, and the folders of frames, where they are wanted."""
    others: list[str] = []
    videos = [*videos_below(name, others.append)]
    yield from map(Segment, videos)
    left: list[str] = []
    folders = [*frame_folders_of(others, name, left.append)]
    for other in left if frames.wanted else others:
        pass_over(other)
    if frames.wanted:
        yield from (Segment(folder, fps=frames.rate) for folder in folders)
    elif folders:
        count = f"{len(folders)} folders" if len(folders) > 1 else "a folder"
        advice = f"{count} of pictures; if these are the frames of a video, say so: --frames --fps 25"
        if not videos:
            raise UsageError(f"{name}: no video, but {advice}")
        log.info("%s: it also holds %s", name, advice)


def _file(name: str, frames: FrameFolders) -> Iterator[Segment]:
    """Yield a file, or the videos and stretches in it if it is a table."""
    if not _is_table(name):
        yield Segment(name)
        return
    from nlvid_cli.inputs.path_list import read_path_rows

    for row in read_path_rows(Path(name)):
        segment, stretch = _listed_segment(row.path, Path(name).parent, frames), row.stretch
        if stretch is None and row.frames and isinstance(segment.path, str) and os.path.isdir(segment.path):
            yield Segment(segment.path, Stretch(end_frame=row.frames), frames.rate)
        else:
            yield segment if stretch is None else replace(segment, stretch=stretch)


def _is_table(name: str) -> bool:
    return name.lower().endswith(TABLE_SUFFIXES)


def _matching(pattern: str, frames: FrameFolders, pass_over: Callable[[str], None]) -> Iterator[str]:
    """Yield the files that match, and folders if they may be of frames; tables only if the pattern is one of tables.

    Other folders are told, except for ``**``.
    """
    paths = sorted(glob.iglob(pattern, recursive=True), key=natural_order if frames.wanted else None)
    if not paths:
        raise UsageError(f"nothing matches {pattern}")
    folders = 0
    for path in paths:
        if os.path.isdir(path) and not frames.wanted:
            folders += 1
        elif (_is_table(path) and not _is_table(pattern)) or (frames.wanted and is_picture_name(path)):
            pass_over(path)
        else:
            yield path
    if folders and "**" not in pattern:
        count = f"{folders} folder{'s' * (folders > 1)}"
        log.info("%s: %s passed over; name them without a pattern, or add /** to it", pattern, count)


def _read_list(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"@{file}: cannot read the list ({error.strerror})") from None


def _listed(content: bytes, where: str, folder: Path, frames: FrameFolders) -> Iterator[Segment]:
    lines = split_lines(decode_text(content, where, keep_bytes=True))
    yield from (_listed_segment(line, folder, frames) for line in lines if line.strip())


def _listed_segment(line: str, folder: Path, frames: FrameFolders) -> Segment:
    """Return the video of a line: a path, or ``path frames label`` where the path is a folder of pictures."""
    path = _near(line, folder)
    if isinstance(path, RemotePath):
        return Segment(path)
    match = None if os.path.exists(path) else _FRAMES_AND_LABEL.fullmatch(line.strip())
    if match is not None:
        counted = _near(match[1], folder)
        if isinstance(counted, str) and os.path.isdir(counted) and int(match[2]):
            return Segment(counted, Stretch(end_frame=int(match[2])), frames.rate)
    return Segment(path, fps=frames.rate if frames.wanted and os.path.isdir(path) else None)


def _near(name: str, folder: Path) -> VideoPath:
    """Return a path of a list: relative to the current folder, or else to the folder of the list."""
    path = video_path(name)
    if isinstance(path, RemotePath) or os.path.exists(path):
        return path
    beside = os.path.join(folder, path)
    return beside if os.path.exists(beside) else path
