"""Run videos through decoding, batching and the network, all of them working at the same time.

::

    segments ─> feeder ─> decode threads ─> ready ─> batch thread ─> batches ─> network threads ─> done ─> caller
                          one process each,          views of                   one per backend
                          frames in shared           several videos
                          memory

Nothing piles up: a video enters only when there is room for it, and leaves room when the caller takes its result; its
frames wait for their bytes of the budget; only one batch per backend is made ahead.

A long video comes in parts, some windows each. Each part takes room and bytes of its own, and has a result of its own.

With ``Limits.workers`` at 0 the same stages take turns in the caller's thread.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Generic, TypeVar

from nlvid_cli.backends import Backend
from nlvid_cli.card.card import Card
from nlvid_cli.recognize.pipeline.batches import Array, Batch, BatchMaker, VideoOutputs
from nlvid_cli.recognize.pipeline.shared import MemoryBudget, Stages
from nlvid_cli.recognize.pipeline.tracker import Outcome, Tracker
from nlvid_cli.recognize.pipeline.worker import Decoded, DecodeWorker, WorkerLimits
from nlvid_cli.recognize.prediction import Failure, FailureReason
from nlvid_cli.recognize.windows import WINDOWS_PER_PART, Windows, decode_windows
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.clips import ClipTable, decode_clips
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.segment import Segment

T = TypeVar("T")

GIVEN_UP = FailureReason("VideoError", "an earlier part of it failed")
"""Ends a video of which a part has failed; its first failure is the one that counts."""

ENFORCE_SECONDS = 0.1
"""Time between two checks of the workers' limits."""

MAX_AHEAD = 1000
"""Videos that may be begun while an earlier one is not done, where results are returned in order."""

ENDING_SECONDS = 0.7
"""Time for all threads together to end. Decoders are killed at once; only a batch in the network takes its time."""

BATCH_SECONDS = 10.0
"""Time for such a batch to end before the interpreter does."""

FEEDER_SECONDS = 0.1
"""Time for the feeder to end after that: where the caller's iterator blocks, it cannot."""


@dataclass(frozen=True)
class Limits:
    """Resources that a run may use.

    Attributes:
        worker: Limits of each decoding process.
        workers: Number of these processes; None: one per processor; 0: decode in this process, without limits.
        memory_bytes: Size of the decoded frames that wait for the network, all videos together.
    """

    worker: WorkerLimits = field(default_factory=WorkerLimits)
    workers: int | None = None
    memory_bytes: int = 2 << 30

    @property
    def worker_count(self) -> int:
        """Number of decoding processes."""
        return usable_processors() if self.workers is None else self.workers


class Pipeline(Generic[T]):
    """A run over many videos; it can be iterated once.

    Args:
        backends: The same model, once per device.
        card: Its card.
        limits: Resources to use.
        finish: Makes the result of a video, or of a part of one, of its outputs. NumericalError is a failure of it.
        settled: Whether outputs of some clips, (clips, crops, classes), need no more clips; None looks at all clips.
        stages: Clock to count busy times with.
        decode: Decodes the parts of a video in this process, where there are no workers; None: from its file.
        look: Takes what is wanted of each view of a batch, (views, values), from a backend; None: scores or logits, as
            the card combines them.
        windows: Windows to look at, part by part; the card must have one clip. None: the card's clips.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        card: Card,
        limits: Limits,
        finish: Callable[[VideoOutputs], T],
        settled: Callable[[Array], bool] | None = None,
        stages: Stages | None = None,
        decode: Callable[[Segment], Iterable[tuple[Pixels, ClipTable]]] | None = None,
        look: Callable[[Backend, Batch], Array] | None = None,
        windows: Windows | None = None,
    ) -> None:
        rules = (card.sampling, card.preprocess)
        at_once = max(backend.views_per_batch for backend in backends) * len(backends)
        self._backends = backends
        self._crops = card.preprocess.crops
        self._decode_here = decode or partial(_decode_parts, card=card, windows=windows)
        self._windows = windows
        self._stages = stages or Stages()
        self._workers = [DecodeWorker(*rules, limits.worker) for _ in range(limits.worker_count)]
        self._budget = MemoryBudget(limits.memory_bytes) if self._workers else None
        self._tracker = Tracker(card, finish, settled, self._stages, self._budget, look)
        self._maker = BatchMaker(card.preprocess, self._tracker.ready, self._clips_at_once, self._stages)
        clips_together = card.sampling.clips if windows is None else WINDOWS_PER_PART
        parts_at_once = -(-at_once // (clips_together * self._crops))
        self._room = threading.Semaphore(len(self._workers) + 2 + 2 * parts_at_once)
        self._idle = threading.Semaphore(0)  # decode threads that wait for a video
        self._jobs: SimpleQueue[tuple[int, Segment] | None] = SimpleQueue()
        self._ahead = threading.Semaphore(len(backends))
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._stopping = False
        self._aborted = threading.Event()
        self._threads: list[threading.Thread] = []
        self._networks: list[threading.Thread] = []
        self._feeder: threading.Thread | None = None

    def run(self, segments: Iterable[Segment]) -> Generator[Outcome[T], None, None]:
        """Yield the outcome of each video as it is done, in any order.

        Closing the iterator ends the run and its processes, also while ``segments`` blocks.

        Raises:
            NlvidError: Something is wrong that concerns all videos, such as a device that fails.
        """
        with_threads = self._in_threads if self._workers else self._in_turns
        try:
            yield from with_threads(iter(segments))
        finally:
            self._maker.close()

    def run_in_order(self, segments: Iterable[Segment]) -> Iterator[Outcome[T]]:
        """Yield the outcomes of :meth:`run` in the order of the videos."""
        return in_order(self.run, segments)

    def stop(self) -> None:
        """Begin no more videos; those that are begun are finished."""
        self._stopping = True
        self._tracker.no_more()

    # one video: the stages take turns

    def _in_turns(self, segments: Iterator[Segment]) -> Iterator[Outcome[T]]:
        for number, segment in enumerate(segments):
            if not self._tracker.begin():
                return
            for _ in self._admitted(number, segment, self._parts_here(segment)):
                while self._tracker.done.empty() and (batch := self._maker.next()) is not None:
                    self._tracker.look(self._backends[0], batch)
                if (outcome := self._take()) is not None:
                    yield outcome

    def _parts_here(self, segment: Segment) -> Iterator[Decoded | Failure]:
        began = time.perf_counter()
        try:
            for frames, clips in self._decode_here(segment):
                yield Decoded(frames, clips, time.perf_counter() - began)
                began = time.perf_counter()
        except Exception as error:  # whatever a file does to a decoder concerns this file only
            yield self._tracker.failure(segment, error)

    def _admitted(self, number: int, segment: Segment, parts: Iterator[Decoded | Failure]) -> Iterator[bool]:
        """Admit the parts of a video that has begun, and say after each whether there is more of it."""
        for part, decoded in enumerate(parts):
            more = isinstance(decoded, Decoded) and not decoded.clips.last
            if more and self._tracker.has_failed(number):
                decoded, more = Failure(str(segment.path), GIVEN_UP, segment.stretch, segment.fps), False
            if more:
                self._tracker.begin()  # the run is not over between two parts
            self._tracker.admit(number, segment, decoded, part)
            del decoded
            yield more
            if not more:
                return

    # many videos: a thread for each stage

    def _in_threads(self, segments: Iterator[Segment]) -> Iterator[Outcome[T]]:
        atexit.register(self._end)  # also ends a run that nobody closes: the interpreter must not end under a network
        try:
            self._start(segments)
            while (outcome := self._take()) is not None:
                self._room.release()
                yield outcome
        finally:
            self._end()
            atexit.unregister(self._end)

    def _start(self, segments: Iterator[Segment]) -> None:
        for backend in self._backends:
            self._networks.append(self._thread(self._look_at_all, backend))
        for worker in self._workers:
            self._threads.append(self._thread(self._decode_all, worker))
        self._threads.append(self._thread(self._make_batches))
        self._threads.append(self._thread(self._enforce_limits))
        self._feeder = self._thread(self._feed, segments)

    def _end(self) -> None:
        """End the run within a second; may be called again."""
        self._abort()
        deadline = time.monotonic() + ENDING_SECONDS
        for thread in self._threads + self._networks:
            thread.join(max(0.0, deadline - time.monotonic()))
        for network in self._networks:
            if network.is_alive():  # a batch cannot be interrupted, and its device must not go away under it
                atexit.register(network.join, BATCH_SECONDS)
        if self._feeder is not None:
            self._feeder.join(FEEDER_SECONDS)
        for worker in self._workers:
            worker.close()

    def _thread(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        def guarded() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # it concerns the whole run, and is raised to the caller
                self._tracker.done.put(error)

        thread = threading.Thread(target=guarded, daemon=True)  # a blocking iterator must not keep the process alive
        thread.start()
        return thread

    def _abort(self) -> None:
        """Kill the decoders and wake every thread, so that all of them end."""
        self._stopping = True
        self._aborted.set()
        for worker in self._workers:
            worker.stop()
            self._jobs.put(None)
        if self._budget is not None:
            self._budget.close()
        self._room.release(len(self._workers) + 1)
        self._idle.release()
        self._tracker.ready.put(None)
        self._ahead.release()
        for _ in self._backends:
            self._batches.put(None)

    def _enforce_limits(self) -> None:
        while not self._aborted.wait(ENFORCE_SECONDS):
            for worker in self._workers:
                worker.enforce()

    def _feed(self, segments: Iterator[Segment]) -> None:
        """Hand out videos, each when a decoder waits for one; ``segments`` may block."""
        for number in count():
            self._room.acquire()
            self._idle.acquire()
            segment = None if self._stopping else next(segments, None)
            if segment is None or not self._tracker.begin():
                break
            self._jobs.put((number, segment))
        self._tracker.no_more()

    def _decode_all(self, worker: DecodeWorker) -> None:
        while True:
            self._idle.release()
            if (job := self._jobs.get()) is None:
                return
            for more in self._admitted(*job, self._parts_of(worker, job[1])):
                if more:
                    self._room.acquire()

    def _parts_of(self, worker: DecodeWorker, segment: Segment) -> Iterator[Decoded | Failure]:
        """Yield the decoded parts of a video; none once the run is aborted."""
        began = time.perf_counter()
        for decoded in worker.parts(segment, self._windows, self._budget):
            if self._aborted.is_set():
                return
            if isinstance(decoded, FailureReason):
                self._stages.add("decode", time.perf_counter() - began)
                yield Failure(str(segment.path), decoded, segment.stretch, segment.fps)
            else:
                yield decoded
            began = time.perf_counter()

    def _make_batches(self) -> None:
        while True:
            self._ahead.acquire()
            if self._aborted.is_set() or (batch := self._maker.next()) is None:
                return
            self._batches.put(batch)

    def _look_at_all(self, backend: Backend) -> None:
        while (batch := self._batches.get()) is not None:
            self._ahead.release()
            self._tracker.look(backend, batch)

    def _clips_at_once(self) -> int:
        return max(1, min(backend.views_per_batch for backend in self._backends) // self._crops)

    def _take(self) -> Outcome[T] | None:
        outcome = self._tracker.done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def _decode_parts(segment: Segment, card: Card, windows: Windows | None) -> Iterator[tuple[Pixels, ClipTable]]:
    if windows is None:
        yield decode_clips(segment, card.sampling, card.preprocess)
    else:
        yield from decode_windows(segment, card.sampling, card.preprocess, windows)


def in_order(
    run: Callable[[Iterable[Segment]], Iterator[Outcome[T]]], segments: Iterable[Segment]
) -> Iterator[Outcome[T]]:
    """Yield one outcome for each video, in the order of the videos.

    At most :data:`MAX_AHEAD` videos overtake a slow one.

    Args:
        run: Yields the outcomes in any order.
        segments: The videos.
    """
    free = threading.Semaphore(MAX_AHEAD)

    def held_back() -> Iterator[Segment]:
        for segment in segments:
            free.acquire()
            yield segment

    early: dict[int, Outcome[T]] = {}
    wanted = 0
    try:
        for outcome in run(held_back()):
            early[outcome.number] = outcome
            while wanted in early:
                yield early.pop(wanted)
                free.release()
                wanted += 1
    finally:
        free.release(MAX_AHEAD)  # or the feeder would wait for ever
