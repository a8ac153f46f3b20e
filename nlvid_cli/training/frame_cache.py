"""Cache of decoded videos: small data sets are decoded once and not in every epoch.

The frames are in a file that all workers and processes of a machine map into memory. The operating system keeps it
there as long as there is room.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.video.info import Numbers, VideoInfo
from nlvid_cli.video.picture import SIZES
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.trim import trim

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class _CachedVideo:
    """Location of a video in the file.

    Attributes:
        flag: Offset of a byte that is 1 if the video could be decoded.
        offset: Offset of the frames.
        first: Number of the first frame.
        shape: (frames, height, width).
    """

    flag: int
    offset: int
    first: int
    shape: tuple[int, int, int]

    @property
    def size_bytes(self) -> int:
        frames, height, width = self.shape
        return frames * height * width * 3


@dataclass
class FrameCache:
    """Decoded frames by video and frame number.

    Attributes:
        path: Path to the file; None if nothing is cached.
        infos: Probed videos by number.
    """

    path: Path | None = None
    infos: dict[int, VideoInfo] = field(default_factory=dict)
    _videos: dict[int, _CachedVideo] = field(default_factory=dict)
    _file: Frames | None = None

    def frames(self, video: int, numbers: Numbers) -> Frames | None:
        """Return frames by their numbers, (frames, height, width, 3); None if the video is not cached."""
        cached = self._videos.get(video)
        if cached is None or self.path is None:
            return None
        if self._file is None:
            self._file = np.memmap(self.path, np.uint8, "r")
        if not self._file[cached.flag]:
            return None
        flat = self._file[cached.offset : cached.offset + cached.size_bytes]
        chosen: Frames = flat.reshape(*cached.shape, 3)[numbers - cached.first]
        return chosen

    def close(self) -> None:
        """Remove the file."""
        self._file = None
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the mapped file: each process maps it itself."""
        return self.__dict__ | {"_file": None}


def cache_frames(
    data: DataSet, card: Card, short_side: int, folder: Path, budget_bytes: int, threads: int, fill: bool
) -> FrameCache:
    """Decode all videos of a data set, if they fit in ``budget_bytes``.

    Args:
        data: Training videos. Those that cannot be used are left out.
        card: Card of the model, with its rule for frame sizes.
        short_side: Short side to decode to, in pixels.
        folder: Folder for the file.
        budget_bytes: Size limit. Nothing is cached if the frames of all videos take more.
        threads: Number of videos to decode at once.
        fill: Whether to write the file. If not, another process on this machine has written it.

    Raises:
        OSError: The file cannot be written, for example on a full disk, or the other process did not write it.
    """
    cache = _lay_out(data, card, short_side, budget_bytes)
    if not cache._videos:
        return cache
    path = folder / f".frames-{socket.gethostname()}"
    if fill:
        try:
            _fill(path, cache, card, short_side, threads)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    path.stat()  # raises if the other process did not write the file
    cache.path = path
    return cache


def _lay_out(data: DataSet, card: Card, short_side: int, budget_bytes: int) -> FrameCache:
    cache, offset = FrameCache(), len(data.videos)
    for number, video in enumerate(data.videos):
        try:
            info = probe(video.path)
            part, first = trim(info, video.stretch)
        except Exception:  # noqa: S112 - the error comes again when a clip is made, and is reported there
            continue
        width, height = SIZES[card.preprocess.size](info.facts.width, info.facts.height, short_side)
        cache.infos[number] = info
        cache._videos[number] = _CachedVideo(number, offset, first, (len(part.times_seconds), height, width))
        offset += cache._videos[number].size_bytes
        if offset > budget_bytes:
            return FrameCache(infos=cache.infos)
    return cache


def _fill(path: Path, cache: FrameCache, card: Card, short_side: int, threads: int) -> None:
    size_bytes = max(cached.offset + cached.size_bytes for cached in cache._videos.values())
    with path.open("wb") as new:
        if hasattr(os, "posix_fallocate"):
            # without this, a disk that fills up later would kill the process when it writes to a page
            os.posix_fallocate(new.fileno(), 0, size_bytes)
        else:
            new.truncate(size_bytes)
    file = np.memmap(path, np.uint8, "r+")
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_filler(cache, card, short_side, file), cache._videos))
    file.flush()


def _filler(cache: FrameCache, card: Card, short_side: int, file: Frames) -> Callable[[int], None]:
    def fill(video: int) -> None:
        cached = cache._videos[video]
        numbers = cached.first + np.arange(cached.shape[0])
        try:
            read = read_frames(cache.infos[video], numbers[None], short_side, size=card.preprocess.size, threads=1)
        except Exception:  # as in _lay_out
            return
        file[cached.offset : cached.offset + cached.size_bytes] = read.frames.reshape(-1)
        file[cached.flag] = 1

    return fill
