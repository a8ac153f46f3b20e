"""Find the videos that the user names: files, folders, patterns, ``@list``, ``-``, tables and addresses."""

from __future__ import annotations

import glob
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nlvid_cli.errors import UsageError
from nlvid_cli.inputs.text import decode_text, split_lines
from nlvid_cli.video.remote import RemotePath, VideoPath, expand_remote, video_path
from nlvid_cli.video.suffixes import is_video_name

log = logging.getLogger(__name__)

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
"""Files that name videos in a column."""

SIGNATURE_BYTES = 189
"""Bytes read of a file whose name does not tell what it is; enough for the second packet of a transport stream."""

AUDIO_AND_PICTURES = (b"M4A ", b"M4B ", b"heic", b"heix", b"mif1", b"avif", b"crx ")
"""Brands of the MP4 family (ISO/IEC 14496-12, ``ftyp``) that are not videos."""


def find_videos(names: Iterable[str]) -> list[VideoPath]:
    """Find the videos that the user names.

    Args:
        names: Each of these may be

            - a file;
            - a folder, for the videos in it and below, in order of name: files with the suffix of a video, and files
              without a known suffix that begin like a video;
            - a pattern with ``*``, ``?``, ``[...]`` or ``**``, if no file has that name;
            - ``@list.txt``, for the paths in that file, one a line; ``-`` for a list on stdin;
            - a CSV, TSV or Parquet file, or a pattern for such files, for the paths in its column of paths;
            - an address.

            Paths in lists and tables are relative to the current folder, or else to the folder of the list.

    Returns:
        Videos in the order of the names, each once. Different spellings of a folder (``v``, ``./v``, ``v//``) give
        equal paths.

    Raises:
        UsageError: A list cannot be read, a pattern matches nothing, or there is no video at all.
    """
    names = list(names)
    here = os.getcwd()
    found: dict[VideoPath, VideoPath] = {}
    for name in names:
        for path in map(_plain, _expand(name)):
            found.setdefault(path if isinstance(path, RemotePath) else os.path.join(here, path), path)
    if not found:
        raise UsageError(f"no video in {', '.join(names)}")
    return list(found.values())


def is_one_video(names: Sequence[str]) -> bool:
    """Return whether the user named exactly one video: not a folder, a list, a table or a pattern."""
    if len(names) != 1 or names[0] == "-" or names[0].startswith("@") or os.path.isdir(names[0]):
        return False
    is_pattern = glob.has_magic(names[0]) and not os.path.exists(names[0])
    return not is_pattern and not _is_table(names[0])


def _plain(path: VideoPath) -> VideoPath:
    """Remove ``./`` and doubled slashes. ``..`` stays, since what it means depends on links."""
    return path if isinstance(path, RemotePath) or not path else str(Path(path))


def _expand(name: str) -> Iterator[VideoPath]:
    path = video_path(name)
    if name == "-":
        yield from map(video_path, _lines(sys.stdin.buffer.read(), "stdin"))
    elif isinstance(path, RemotePath):
        yield from expand_remote(path)
    elif name.startswith("@") and not os.path.exists(name):
        yield from _listed(Path(name[1:]))
    elif os.path.isdir(name):
        yield from _in_folder(name)
    elif glob.has_magic(name) and not os.path.exists(name):
        for match in _matching(name):
            yield from _file(match)
    else:
        yield from _file(name)


def _file(name: str) -> Iterator[VideoPath]:
    """Yield a file, or the paths in it if it is a table."""
    if _is_table(name):
        from nlvid_cli.inputs.path_list import read_paths

        yield from _near(Path(name), read_paths(Path(name)))
    else:
        yield name


def _is_table(name: str) -> bool:
    return name.lower().endswith(TABLE_SUFFIXES)


def _matching(pattern: str) -> list[str]:
    paths = sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise UsageError(f"nothing matches {pattern}")
    return [path for path in paths if not os.path.isdir(path) and (_is_table(pattern) or not _is_table(path))]


def _listed(file: Path) -> Iterator[VideoPath]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"@{file}: cannot read the list ({error.strerror})") from None
    yield from _near(file, _lines(content, f"@{file}"))


def _near(file: Path, paths: Iterable[str]) -> Iterator[VideoPath]:
    for path in map(video_path, paths):
        if isinstance(path, RemotePath) or os.path.exists(path):
            yield path
        else:
            beside = os.path.join(file.parent, path)
            yield beside if os.path.exists(beside) else path


def _lines(content: bytes, where: str) -> list[str]:
    return [line for line in split_lines(decode_text(content, where, keep_bytes=True)) if line.strip()]


def _in_folder(folder: str) -> Iterator[str]:
    """Yield the videos in a folder and below. Each folder is visited once, so that circles of links end."""
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
        yield from (entry.path for entry in entries if not _is_folder(entry) and _is_video(entry))
        waiting += [entry.path for entry in reversed(entries) if _is_folder(entry)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a circle
        return False


def _is_video(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    if name.startswith("._"):  # attributes of another file, as macOS stores them
        return False
    suffix = os.path.splitext(name)[1].lower()
    if is_video_name(name) and suffix != ".ts":
        return True
    return (suffix in ("", ".ts") or not suffix[1:].isalpha()) and _begins_like_a_video(entry)


def _begins_like_a_video(entry: os.DirEntry[str]) -> bool:
    """Whether a file begins like a video. Asked for ``.ts``, which may be TypeScript, and for unknown suffixes."""
    try:
        if not entry.is_file():
            return False
        with open(entry.path, "rb", buffering=0) as file:
            head = file.read(SIGNATURE_BYTES)
    except OSError:
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] not in AUDIO_AND_PICTURES
    riff = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    transport = head[:1] == head[188:] == b"G"  # each packet of 188 bytes begins so (ISO/IEC 13818-1)
    return riff or transport or head.startswith(SIGNATURES)


SIGNATURES = (
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM (RFC 8794)
    b"FLV\x01",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"YUV4MPEG2",
    b"\x06\x0e\x2b\x34",  # MXF
)
"""First bytes of videos, other than MP4, AVI and transport streams, which need more than a comparison."""
