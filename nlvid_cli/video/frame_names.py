"""Folders of numbered pictures, one per frame, as ``ffmpeg -i video.mp4 frames/%05d.jpg`` and TSN's tools make them.

::

    img_00001.jpg  img_00002.jpg  img_00010.jpg     frames 0, 1, 2: in the order of the numbers
    flow_x_00001.jpg  flow_y_00001.jpg              optical flow: left out
    notes.txt                                       passed over

Such a folder has no times: :data:`FRAME_RATE` is assumed, as FFmpeg does. Gaps in the numbers are closed.
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
from nlvid_cli.video.suffixes import PICTURE_SUFFIXES, is_video_name

FRAME_RATE = 25.0
"""Frames per second of a folder of pictures: what FFmpeg assumes for them."""

NO_TIMES = f"a folder of pictures has no times: {FRAME_RATE:g} frames per second are assumed"

_NUMBERED = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)
"""What comes before the last number of a name, the number, and the rest."""

_FLOW = re.compile(r"(?:.*[_-])?flow[_-]?[xyuv]?[_-]?", re.IGNORECASE | re.DOTALL)
"""Beginning of the names of optical flow: ``flow_x_``, ``flow-y-``."""

_AXIS = re.compile(r"((?:.*[_-])?)([xyuv])([_-]?)", re.IGNORECASE | re.DOTALL)
"""The same without the word, such as ``x_``. It takes two of these to be optical flow."""

_OTHER_AXIS = dict(zip("xyuvXYUV", "yxvuYXVU", strict=True))


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
        warnings = [NO_TIMES]
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

    Frames are called alike, except for their last number and their suffix. Of several such series the longest counts,
    but for optical flow. Hidden files count as nothing.

    Args:
        names: Names of files, in any order.
    """
    visible = [name for name in sorted(names) if not name.startswith(".")]
    series: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for name in visible:
        stem, suffix = os.path.splitext(name)
        match = _NUMBERED.fullmatch(stem)
        if suffix.lower() in PICTURE_SUFFIXES and match is not None:
            series[match[1], match[3]].setdefault(int(match[2]), name)
    starts = {start for start, _ in series}
    flow = sum(len(frames) for (start, _), frames in series.items() if _is_flow(start, starts))
    pictures = [frames for (start, _), frames in series.items() if not _is_flow(start, starts)]
    longest = max(pictures, key=len, default={})
    numbers = sorted(longest)
    chosen = tuple(longest[number] for number in numbers)
    return FoundFrames(chosen, flow, len(visible) - flow - len(chosen), _missing(numbers))


def find_frames(folder: Path) -> FoundFrames:
    """Find the frames in a folder.

    Raises:
        VideoNotFound: The folder cannot be read, holds videos, or no numbered pictures.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise VideoNotFound(f"a folder that cannot be opened ({error.strerror})") from None
    if any(map(is_video_name, names)):
        raise VideoNotFound("a folder of videos, not a file")
    found = frames_among(names)
    if not found.names:
        what = " (only optical flow, which nlvid does not read)" if found.flow else ""
        raise VideoNotFound(f"a folder, not a file, and without numbered pictures such as 00001.jpg{what}")
    return found


def holds_pictures(folder: Path) -> bool:
    """Whether this is a folder with pictures directly in it; a look at its first files is enough."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.lower().endswith(PICTURE_SUFFIXES) for entry in entries)
    except (OSError, ValueError):  # no folder, or a name that is none
        return False


def _is_flow(start: str, starts: Collection[str]) -> bool:
    """Whether pictures whose names begin so are optical flow, among all these beginnings of a folder."""
    if _FLOW.fullmatch(start):
        return True
    axis = _AXIS.fullmatch(start)
    return axis is not None and f"{axis[1]}{_OTHER_AXIS[axis[2]]}{axis[3]}" in starts


def _missing(numbers: Sequence[int]) -> int:
    """Count the numbers that are missing, given the usual distance of two."""
    if len(numbers) < 3:
        return 0
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    usual = int(median(steps))
    return max(0, sum(steps) // usual - len(steps))
