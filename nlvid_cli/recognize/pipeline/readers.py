"""Readers of videos whose files are not trusted: a pool of decoding processes with limits.

The road of a video decodes the clips of its card. Training draws other clips, and the check of a data set looks at a
few frames; both ask for the frame times of a video first, and then for frames by their numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from nlvid_cli.card.card import Card
from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.recognize.pipeline.worker import DecodeWorker, WorkerLimits
from nlvid_cli.recognize.prediction import FailureReason
from nlvid_cli.video.info import Numbers, VideoFacts, VideoInfo
from nlvid_cli.video.read import FramesRead
from nlvid_cli.video.reader import ReaderHere, VideoReader

T = TypeVar("T")

NORMAL = 0
"""Priority of the processes: other programs of the machine must not starve them, because training waits for them."""

ENFORCE_SECONDS = 0.1
"""Time between two checks of the limits."""


class ReaderProcess:
    """Reads in a process with limits, whose fate concerns only the video that it reads."""

    def __init__(self, worker: DecodeWorker) -> None:
        self._worker = worker

    def probe(self, path: Path) -> VideoInfo:
        """See :class:`VideoReader`."""
        said = self._worker.values({"path": str(path)})
        if isinstance(said, FailureReason):
            raise UnreadableVideo(said.message)
        times = np.array(said["times_seconds"], np.float64)
        return VideoInfo(path, times, VideoFacts(**said["facts"]), tuple(said["warnings"]))

    def read(self, info: VideoInfo, numbers: Numbers, short_side: int) -> FramesRead:
        """See :class:`VideoReader`."""
        request = {"path": str(info.path), "numbers": numbers.tolist(), "short_side": short_side}
        got = self._worker.frames(request)
        if isinstance(got, FailureReason):
            raise UnreadableVideo(got.message)
        frames, said = got
        return FramesRead(frames, tuple(said["warnings"]))


class Readers:
    """Pool of readers, each in a process of its own. A process starts when it is first needed.

    Args:
        card: Card of a model, with its rule for frame sizes.
        count: Number of processes; with 0, everything is read in this process, when it is asked for, without limits.
        limits: Limits of each process.
    """

    def __init__(self, card: Card, count: int, limits: WorkerLimits) -> None:
        self._here = ReaderHere(card.preprocess.size)
        self._workers = [DecodeWorker(card.sampling, card.preprocess, limits, NORMAL) for _ in range(count)]
        self._free: SimpleQueue[VideoReader] = SimpleQueue()
        for worker in self._workers:
            self._free.put(ReaderProcess(worker))
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(max(1, count), thread_name_prefix="read")
        self._watch = threading.Thread(target=self._enforce_limits, daemon=True)
        if count:
            self._watch.start()

    def submit(self, work: Callable[[VideoReader], T]) -> Future[T]:
        """Have work done with a free reader; without processes, do it now."""
        if self._workers:
            return self._pool.submit(self._with_free, work)
        done: Future[T] = Future()
        try:
            done.set_result(work(self._here))
        except Exception as error:  # the future raises it
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Kill the processes, and wait for the threads; work that has not begun is cancelled."""
        self._closed.set()
        for worker in self._workers:
            worker.stop()
        self._pool.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _with_free(self, work: Callable[[VideoReader], T]) -> T:
        reader = self._free.get()
        try:
            return work(reader)
        finally:
            self._free.put(reader)

    def _enforce_limits(self) -> None:
        while not self._closed.wait(ENFORCE_SECONDS):
            for worker in self._workers:
                worker.enforce()
