"""Cache of decoded videos: small data sets are decoded once and not in every epoch.

The frames are in a file that all processes of a machine map into memory. The operating system keeps it there as long as
there is room. Beside it lies an index in JSON, so that one process lays out the file for all of them.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.errors import NlvidError, WorkerError
from nlvid_cli.recognize.pipeline.readers import Readers
from nlvid_cli.system.strict_json import parse_json
from nlvid_cli.video.info import Numbers, VideoFacts, VideoInfo
from nlvid_cli.video.picture import SIZES
from nlvid_cli.video.reader import VideoReader
from nlvid_cli.video.trim import trim

T = TypeVar("T")

Frames = NDArray[np.uint8]

AHEAD = 64
"""Videos that are begun before the result of the first is used."""


@dataclass(frozen=True)
class _CachedVideo:
    """Location of a video in the file.

    Attributes:
        offset: Offset of the frames.
        first: Number of the first frame.
        shape: (frames, height, width).
    """

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
        bad: Videos that cannot be used, by number, and why.
    """

    path: Path | None = None
    infos: dict[int, VideoInfo] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    _videos: dict[int, _CachedVideo] = field(default_factory=dict)
    _file: Frames | None = None

    def frames(self, video: int, numbers: Numbers) -> Frames | None:
        """Return frames by their numbers, (frames, height, width, 3); None if the video is not cached."""
        cached = self._videos.get(video)
        if cached is None or self.path is None:
            return None
        if self._file is None:
            self._file = np.memmap(self.path, np.uint8, "r")
        flat = self._file[cached.offset : cached.offset + cached.size_bytes]
        chosen: Frames = flat.reshape(*cached.shape, 3)[numbers - cached.first]
        return chosen

    def close(self) -> None:
        """Remove the file and its index."""
        self._file = None
        if self.path is not None:
            _remove(self.path)


def cache_frames(
    data: DataSet, card: Card, short_side: int, folder: Path, budget_bytes: int, readers: Readers
) -> FrameCache:
    """Decode all videos of a data set, if they fit in ``budget_bytes``.

    Args:
        data: Training videos. Those that cannot be used are left out.
        card: Card of the model, with its rule for frame sizes.
        short_side: Short side to decode to, in pixels.
        folder: Folder for the file.
        budget_bytes: Size limit. Nothing is cached if the frames of all videos take more.
        readers: Processes that decode.

    Raises:
        OSError: The file cannot be written, for example on a full disk.
        WorkerError: The machine starts no process to read videos.
    """
    path = _path_in(folder)
    _remove(path)  # of a run that was killed
    cache = _lay_out(data, card, short_side, budget_bytes, readers)
    if not cache._videos:
        return cache
    try:
        _fill(path, cache, short_side, readers)
        _write_index(path, cache)
    except BaseException:
        _remove(path)
        raise
    cache.path = path
    return cache


def open_cached_frames(data: DataSet, folder: Path) -> FrameCache:
    """Open the file that another process of this machine has written; without one, nothing is cached."""
    path = _path_in(folder)
    try:
        index = parse_json(_index_of(path).read_bytes())
    except FileNotFoundError:
        return FrameCache()
    cache = FrameCache(path, bad={int(number): message for number, message in index["bad"].items()})
    for number, (times, facts) in index["infos"].items():
        cache.infos[int(number)] = VideoInfo(
            data.videos[int(number)].path, np.array(times, np.float64), VideoFacts(**facts)
        )
    for number, (offset, first, shape) in index["videos"].items():
        cache._videos[int(number)] = _CachedVideo(offset, first, tuple(shape))
    return cache


def _path_in(folder: Path) -> Path:
    return folder / f".frames-{socket.gethostname()}"


def _index_of(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _index_of(path).unlink(missing_ok=True)


def _lay_out(data: DataSet, card: Card, short_side: int, budget_bytes: int, readers: Readers) -> FrameCache:
    cache, offset = FrameCache(), 0
    outlines = _each(readers, (partial(_outline, video) for video in data.videos))
    for number, outline in enumerate(outlines):
        if isinstance(outline, str):
            cache.bad[number] = outline
            continue
        info, first, frames = outline
        width, height = SIZES[card.preprocess.size](info.facts.width, info.facts.height, short_side)
        cache.infos[number] = info
        cache._videos[number] = _CachedVideo(offset, first, (frames, height, width))
        offset += cache._videos[number].size_bytes
        if offset > budget_bytes:
            return FrameCache(infos=cache.infos, bad=cache.bad)
    return cache


def _outline(video: LabelledVideo, reader: VideoReader) -> tuple[VideoInfo, int, int]:
    """Return the info of a video, and the first frame and the number of frames of its stretch."""
    info = reader.probe(video.path)
    part, first = trim(info, video.stretch)
    return info, first, len(part.times_seconds)


def _fill(path: Path, cache: FrameCache, short_side: int, readers: Readers) -> None:
    size_bytes = max(cached.offset + cached.size_bytes for cached in cache._videos.values())
    with path.open("wb") as new:
        if hasattr(os, "posix_fallocate"):
            # without this, a disk that fills up later would kill the process when it writes to a page
            os.posix_fallocate(new.fileno(), 0, size_bytes)
        else:
            new.truncate(size_bytes)
    file = np.memmap(path, np.uint8, "r+")

    def fill(video: int, reader: VideoReader) -> None:
        cached = cache._videos[video]
        numbers = cached.first + np.arange(cached.shape[0])
        frames = reader.read(cache.infos[video], numbers, short_side).frames
        file[cached.offset : cached.offset + cached.size_bytes] = frames.reshape(-1)

    videos = list(cache._videos)
    for video, failed in zip(videos, _each(readers, (partial(fill, video) for video in videos)), strict=True):
        if failed is not None:
            cache.bad[video] = failed
    file.flush()


def _write_index(path: Path, cache: FrameCache) -> None:
    index = {
        "bad": cache.bad,
        "infos": {number: [info.times_seconds.tolist(), asdict(info.facts)] for number, info in cache.infos.items()},
        "videos": {number: [video.offset, video.first, video.shape] for number, video in cache._videos.items()},
    }
    _index_of(path).write_text(json.dumps(index), encoding="utf-8")


def _each(readers: Readers, works: Iterable[Callable[[VideoReader], T]]) -> Iterator[T | str]:
    """Yield the result of each work in order, or what is wrong with its video."""
    rest = iter(works)
    waiting: deque[Future[T]] = deque(readers.submit(work) for work in islice(rest, AHEAD))
    try:
        while waiting:
            future = waiting.popleft()
            error = future.exception()
            yield future.result() if error is None else _message(error)
            waiting.extend(readers.submit(work) for work in islice(rest, 1))
    finally:
        for future in waiting:
            future.cancel()


def _message(error: BaseException) -> str:
    """Return what to say of a video; raise errors that concern all videos."""
    if isinstance(error, WorkerError) or not isinstance(error, Exception):
        raise error
    if os.environ.get("NLVID_DEBUG") == "1" and not isinstance(error, NlvidError):
        raise error
    return str(error) or type(error).__name__
