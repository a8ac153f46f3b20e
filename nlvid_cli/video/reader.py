"""What reads one video at a time: its frame times first, and then frames by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, TypeVar

from nlvid_cli.video.info import Numbers, VideoInfo
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import FramesRead, read_frames

T = TypeVar("T")


class VideoReader(Protocol):
    """Something that reads one video at a time.

    Both methods raise :class:`~nlvid_cli.errors.UnreadableVideo`, or another error of a video, for a file that cannot
    be used. :class:`~nlvid_cli.errors.WorkerError` is about the machine.
    """

    def probe(self, path: Path) -> VideoInfo:
        """Return times, facts, and warnings of a video; the rest of the info may be empty."""

    def read(self, info: VideoInfo, numbers: Numbers, short_side: int) -> FramesRead:
        """Decode the frames with these numbers, (frames,), as one clip; ``info`` is of the same reader."""


class ReaderHere:
    """Reads in this process, without limits.

    Args:
        size: Rule for frame sizes, of a card.
    """

    def __init__(self, size: str = "half_up") -> None:
        self._size = size

    def probe(self, path: Path) -> VideoInfo:
        """See :class:`VideoReader`."""
        return probe(path)

    def read(self, info: VideoInfo, numbers: Numbers, short_side: int) -> FramesRead:
        """See :class:`VideoReader`."""
        return read_frames(info, numbers[None], short_side, size=self._size, threads=1)


class ReaderPool(Protocol):
    """Readers that work at the same time."""

    def submit(self, work: Callable[[VideoReader], T]) -> Future[T]:
        """Have work done with a free reader."""
