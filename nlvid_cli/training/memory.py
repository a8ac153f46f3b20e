"""Decoded videos of small data sets, so that they are decoded once and not in every epoch.

They lie in a file that all workers and processes of a machine map into their memory; the operating system keeps it
there while there is room.
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
class _Part:
    """Where a video lies in the file.

    Attributes:
        flag: offset of a byte that says whether the video could be decoded.
        offset: of the frames.
        first: number of the first frame.
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
class FrameMemory:
    """Frames of the videos that are remembered.

    Attributes:
        path: of the file; None: nothing is remembered.
        infos: what probing found, by the number of the video.
    """

    path: Path | None = None
    infos: dict[int, VideoInfo] = field(default_factory=dict)
    _parts: dict[int, _Part] = field(default_factory=dict)
    _file: Frames | None = None

    def frames(self, video: int, numbers: Numbers) -> Frames | None:
        """Frames with these numbers, (frames, height, width, 3), or None where the video is not remembered."""
        part = self._parts.get(video)
        if part is None or self.path is None:
            return None
        if self._file is None:
            self._file = np.memmap(self.path, np.uint8, "r")
        if not self._file[part.flag]:
            return None
        flat = self._file[part.offset : part.offset + part.size_bytes]
        chosen: Frames = flat.reshape(*part.shape, 3)[numbers - part.first]
        return chosen

    def close(self) -> None:
        """Forget all, and remove the file."""
        self._file = None
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, object]:
        """Without the mapped file: each process maps it for itself."""
        return self.__dict__ | {"_file": None}


def remember_frames(
    data: DataSet, card: Card, short_side: int, folder: Path, budget_bytes: int, threads: int, fill: bool
) -> FrameMemory:
    """Decode all videos of a data set, if they fit into ``budget_bytes``.

    Args:
        data: the training videos; those that cannot be used are left out.
        card: its rule for sizes counts.
        short_side: pixels to decode to.
        folder: where the file shall lie.
        budget_bytes: for all frames together; nothing is remembered if they take more.
        threads: videos decoded at once.
        fill: False: another process on this machine has written the file.

    Raises:
        OSError: the file cannot be written, as where the disk has no room for it, or the other process could not.
    """
    memory = _lay_out(data, card, short_side, budget_bytes)
    if not memory._parts:
        return memory
    path = folder / f".frames-{socket.gethostname()}"
    if fill:
        try:
            _fill(path, memory, card, short_side, threads)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    path.stat()
    memory.path = path
    return memory


def _lay_out(data: DataSet, card: Card, short_side: int, budget_bytes: int) -> FrameMemory:
    memory, offset = FrameMemory(), len(data.videos)
    for number, video in enumerate(data.videos):
        try:
            info = probe(video.path)
            part, first = trim(info, video.start_seconds, video.end_seconds)
        except Exception:  # noqa: S112 - the loader meets it again, and reports it
            continue
        width, height = SIZES[card.preprocess.size](info.facts.width, info.facts.height, short_side)
        memory.infos[number] = info
        memory._parts[number] = _Part(number, offset, first, (len(part.times_seconds), height, width))
        offset += memory._parts[number].size_bytes
        if offset > budget_bytes:
            return FrameMemory(infos=memory.infos)
    return memory


def _fill(path: Path, memory: FrameMemory, card: Card, short_side: int, threads: int) -> None:
    size_bytes = max(part.offset + part.size_bytes for part in memory._parts.values())
    with path.open("wb") as new:
        if hasattr(os, "posix_fallocate"):
            # or the system would find out that the disk is full when a page is written, and kill the process
            os.posix_fallocate(new.fileno(), 0, size_bytes)
        else:
            new.truncate(size_bytes)
    file = np.memmap(path, np.uint8, "r+")
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_filler(memory, card, short_side, file), memory._parts))
    file.flush()


def _filler(memory: FrameMemory, card: Card, short_side: int, file: Frames) -> Callable[[int], None]:
    def fill(video: int) -> None:
        part = memory._parts[video]
        numbers = part.first + np.arange(part.shape[0])
        try:
            read = read_frames(memory.infos[video], numbers[None], short_side, size=card.preprocess.size, threads=1)
        except Exception:  # as above
            return
        file[part.offset : part.offset + part.size_bytes] = read.frames.reshape(-1)
        file[part.flag] = 1

    return fill
