"""Folders of pictures, one per frame, as ``ffmpeg -i video.mp4 frames/%05d.jpg`` and TSN's tools make them.

::

    img_00001.jpg  img_00002.jpg  img_00010.jpg     frames 0, 1, 2: in the order of the numbers
    flow_x_00001.jpg  flow_y_00001.jpg              optical flow: left out
    notes.txt                                       passed over

Such a folder has no times. Gaps in the numbers are closed.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from nlvid_cli.errors import VideoNotFound
from nlvid_cli.video.suffixes import PICTURE_SUFFIXES, is_picture_name, is_video_name

FRAME_RATE = 25.0
"""Frames per second of a folder of pictures where nobody says: what FFmpeg assumes for them."""

NO_TIMES = f"a folder of pictures has no times: {FRAME_RATE:g} frames per second are assumed"

_DIGITS = re.compile(r"([0-9]+)")

_FLOW = re.compile(r"(?:.*[_-])?flow[_-]?[xyuv]?[_-]?", re.IGNORECASE | re.DOTALL)
"""Beginning of the names of optical flow: ``flow_x_``, ``flow-y-``."""

_AXIS = re.compile(r"((?:.*[_-])?)([xyuv])([_-]?)", re.IGNORECASE | re.DOTALL)
"""The same without the word, such as ``x_``. It takes two of these to be optical flow."""

_OTHER_AXIS = dict(zip("xyuvXYUV", "yxvuYXVU", strict=True))

_Numbers = tuple[int, ...]


@dataclass(frozen=True)
class FoundFrames:
    """Pictures of a folder.

    Attributes:
        names: Names of the frames, in their order.
        flow: Number of pictures of optical flow, which are left out.
        others: Number of other files.
        missing: Number of pictures that are missing between the first and the last, as far as their numbers tell.
    """

    names: tuple[str, ...]
    flow: int = 0
    others: int = 0
    missing: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know about them, in sentences."""
        warnings = []
        if self.flow:
            warnings.append(f"{_pictures(self.flow)} optical flow, and left out")
        if self.others:
            warnings.append(f"{self.others} other file{'s' * (self.others > 1)} in the folder passed over")
        if self.missing:
            warnings.append(f"{_pictures(self.missing)} missing, judging by the numbers: the gaps are closed")
        return tuple(warnings)


def _pictures(count: int) -> str:
    return "1 picture is" if count == 1 else f"{count} pictures are"


def frames_among(names: Iterable[str]) -> FoundFrames:
    """Choose the frames among the names of the files in one folder.

    Frames are called alike except for their numbers and their suffix, and stand in the order of the numbers, the first
    one before the next. Of several such series the longest counts, but for optical flow. Where names have no more in
    common, all pictures are frames. Hidden files count as nothing.

    Args:
        names: Names of files, in any order.
    """
    visible = [name for name in sorted(names) if not name.startswith(".")]
    starts = {name: _start(name) for name in visible if is_picture_name(name)}
    known = {*starts.values()}
    pictures = [name for name, start in starts.items() if not _is_flow(start, known)]
    series: dict[str, dict[_Numbers, str]] = defaultdict(dict)
    for name in pictures:
        words, numbers = _words_and_numbers(name)
        series[words].setdefault(numbers, name)
    longest = max(series.values(), key=len, default={})
    ordered = sorted(longest)
    chosen = [longest[numbers] for numbers in ordered]
    missing = _missing(ordered)
    if len(chosen) < 2 or (2 * len(chosen) < len(pictures) < 2 * len(series)):
        chosen, missing = sorted(pictures, key=natural_order), 0
    flow = len(starts) - len(pictures)
    return FoundFrames(tuple(chosen), flow, len(visible) - flow - len(chosen), missing)


def find_frames(folder: Path) -> FoundFrames:
    """Find the frames in a folder.

    Raises:
        VideoNotFound: The folder cannot be read, or holds no pictures.
    """
    names = _file_names(folder)
    found = frames_among(names)
    if not found.names:
        what = ", but videos" if any(map(is_video_name, names)) else ""
        what = ", only optical flow, which nlvid does not read" if found.flow else what
        raise VideoNotFound(f"a folder without pictures such as 00001.jpg{what}")
    return found


def unnamed_folder(folder: Path) -> VideoNotFound:
    """Return the error of a folder where a file is wanted: it says what the folder seems to be."""
    try:
        names = _file_names(folder)
    except VideoNotFound as error:
        return error
    if any(map(is_video_name, names)):
        return VideoNotFound("a folder of videos, not a file")
    count = sum(map(is_picture_name, names))
    if not count:
        return VideoNotFound("a folder, not a file")
    return VideoNotFound(
        f"a folder of {count} picture{'s' * (count > 1)}, not a file; if they are the frames of a video, say so: "
        "--frames --fps 25 (in Python: fps=25 of a Segment)"
    )


def _file_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise VideoNotFound(f"a folder that cannot be opened ({error.strerror})") from None


def holds_pictures(folder: Path) -> bool:
    """Whether this is a folder with pictures directly in it; a look at its first files is enough."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.lower().endswith(PICTURE_SUFFIXES) for entry in entries)
    except (OSError, ValueError):  # no folder, or a name that is none
        return False


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort key of names: numbers by their value, so that ``a9`` comes before ``a10``."""
    parts = _DIGITS.split(name)  # text and digits in turns, text first: values at one place are of one type
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def _words_and_numbers(name: str) -> tuple[str, _Numbers]:
    """Split ``img_002_a.jpg`` into ``img_`` NUL ``_a``, and (2,)."""
    stem = os.path.splitext(name)[0]
    return _DIGITS.sub("\0", stem), tuple(map(int, _DIGITS.findall(stem)))


def _start(name: str) -> str:
    """Return what comes before the last number of a name; all of it if there is no number."""
    parts = _DIGITS.split(os.path.splitext(name)[0])
    return "".join(parts[:-2]) if len(parts) > 1 else parts[0]


def _is_flow(start: str, starts: Collection[str]) -> bool:
    """Whether pictures whose names begin so are optical flow, among all these beginnings of a folder."""
    if _FLOW.fullmatch(start):
        return True
    axis = _AXIS.fullmatch(start)
    return axis is not None and f"{axis[1]}{_OTHER_AXIS[axis[2]]}{axis[3]}" in starts


def _missing(series: Sequence[_Numbers]) -> int:
    """Count the numbers that are missing, given the usual distance of two, where only one number of a name changes."""
    changing: list[_Numbers] = [place for place in zip(*series, strict=True) if len({*place}) > 1]
    if len(series) < 3 or len(changing) != 1:
        return 0
    steps = [later - earlier for earlier, later in pairwise(changing[0])]
    usual = int(median(steps))
    return max(0, sum(steps) // usual - len(steps))
