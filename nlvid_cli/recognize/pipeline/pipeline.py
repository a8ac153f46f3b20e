"""Videos in, outputs of the network out, with everything in between going on at the same time.

::

    stretches ─> decode threads ─> ready ─> batch thread ─> batches ─> network threads ─> done ─> whoever iterates
                 one process each,          float views,               one per device
                 uint8 frames in            of several
                 shared memory              videos

Nothing can pile up: a video enters only when there is room for it, which it gives back when its outcome is taken; its
frames wait for their bytes of the budget; and only one batch per device is made ahead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

import numpy as np

from nlvid_cli.card.card import Preprocess, Sampling
from nlvid_cli.errors import InputShapeError, NumericalError
from nlvid_cli.recognize.pipeline.batches import Array, Batch, BatchMaker, DecodedVideo
from nlvid_cli.recognize.pipeline.settled import FIRST_CLIPS, spread_out
from nlvid_cli.recognize.pipeline.shared import MemoryBudget
from nlvid_cli.recognize.pipeline.stages import Stages
from nlvid_cli.recognize.pipeline.worker import DecodeWorker, WorkerLimits
from nlvid_cli.recognize.prediction import Failure, FailureReason
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.clips import ClipTable, Segment

ENFORCE_SECONDS = 0.1
"""From one look at the limits of the processes to the next."""


class Network(Protocol):
    """A model on a device, as far as it matters here."""

    @property
    def views_at_once(self) -> int:
        """How many views are best handed over at once; may change."""

    def look(self, views: Array) -> Array:
        """Normalised views (views, 3, T, H, W) to what is wanted of each, (views, classes)."""


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    Attributes:
        worker: limits of each process that decodes.
        workers: number of these processes; None: as many as there are processors.
        memory_bytes: of decoded frames that wait for the network, all videos together.
    """

    worker: WorkerLimits = field(default_factory=WorkerLimits)
    workers: int | None = None
    memory_bytes: int = 2 << 30

    @property
    def worker_count(self) -> int:
        """Number of processes that decode."""
        return self.workers or usable_processors()


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network says of a video.

    Attributes:
        facts: of the video.
        outputs: (different clips, crops, classes).
        looked_at: numbers of the different clips that were looked at, ascending; the outputs of others mean nothing.
    """

    facts: ClipTable
    outputs: Array
    looked_at: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Outcome:
    """The end of a video's way.

    Attributes:
        number: of the video, from 0 in the order in which they came.
        stretch: of which video.
        result: what came of it.
    """

    number: int
    stretch: Segment
    result: Seen | Failure


class Pipeline:
    """A run over many videos. To be iterated once.

    Args:
        networks: the same model, once per device.
        sampling: the card's.
        rules: the card's.
        limits: what may be taken.
        settled: of the outputs of some clips, (clips, crops, classes): whether more clips would change nothing; None:
            all clips are looked at.
        stages: where busy times are counted.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        sampling: Sampling,
        rules: Preprocess,
        limits: Limits,
        settled: Callable[[Array], bool] | None = None,
        stages: Stages | None = None,
    ) -> None:
        self._networks = networks
        self._rules = rules
        self._settled = settled
        self.stages = stages or Stages()
        self._workers = [DecodeWorker(sampling, rules, limits.worker) for _ in range(limits.worker_count)]
        self._budget = MemoryBudget(limits.memory_bytes)
        at_once = max(network.views_at_once for network in networks) * len(networks)
        self._room = threading.Semaphore(len(self._workers) + 2 + 2 * -(-at_once // (sampling.clips * rules.crops)))
        self._ready: SimpleQueue[DecodedVideo | None] = SimpleQueue()
        self._ahead = threading.Semaphore(len(networks))
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._done: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()
        self._state = threading.Lock()
        self._next = threading.Lock()
        self._asking = 0
        self._on_their_way = 0
        self._exhausted = False
        self._over = False
        self._stopping = False
        self._aborted = False

    def stop(self) -> None:
        """Begin no more videos; those on their way come to their end."""
        self._stopping = True

    def run(self, stretches: Iterable[Segment]) -> Iterator[Outcome]:
        """Send videos through; their outcomes come as they are done, in any order.

        Raises:
            NlvidError: what concerns all videos, such as a device that fails.
        """
        jobs = enumerate(stretches)
        threads = [threading.Thread(target=self._guard, args=(self._decode_all, w, jobs)) for w in self._workers]
        threads += [threading.Thread(target=self._guard, args=(self._look_at_all, n)) for n in self._networks]
        threads += [threading.Thread(target=self._guard, args=(self._make_batches,))]
        threads += [threading.Thread(target=self._enforce_limits)]
        for thread in threads:
            thread.daemon = True  # an iterator of jobs that blocks must not keep the process alive
            thread.start()
        try:
            while (outcome := self._done.get()) is not None:
                if isinstance(outcome, BaseException):
                    raise outcome
                self._room.release()
                yield outcome
        finally:
            self._abort()
            for thread in threads:
                thread.join(timeout=10)
            for worker in self._workers:
                worker.close()

    def _guard(self, work: Callable[..., None], *arguments: object) -> None:
        """What goes wrong in a thread concerns the whole run."""
        try:
            work(*arguments)
        except BaseException as error:
            self._done.put(error)

    def _abort(self) -> None:
        self._stopping = self._aborted = True
        self._budget.close()
        for worker in self._workers:
            worker.stop()
        for _ in self._workers:
            self._room.release()
        self._ready.put(None)
        self._ahead.release()
        for _ in self._networks:
            self._batches.put(None)

    def _enforce_limits(self) -> None:
        while not self._aborted:
            for worker in self._workers:
                worker.enforce()
            with self._state:  # whoever waits for the next job would not notice that there are to be no more
                self._end_if_over()
            time.sleep(ENFORCE_SECONDS)

    # decode threads

    def _decode_all(self, worker: DecodeWorker, jobs: Iterator[tuple[int, Segment]]) -> None:
        while True:
            self._room.acquire()
            job = self._next_job(jobs)
            if job is None:
                self._room.release()
                return
            self._decode(worker, *job)

    def _next_job(self, jobs: Iterator[tuple[int, Segment]]) -> tuple[int, Segment] | None:
        """The next one, for which an iterator may let us wait: videos on their way are not held up by that."""
        with self._state:
            self._asking += 1
        job = None
        with self._next:
            if not self._stopping and not self._exhausted:
                job = next(jobs, None)
        with self._state:
            self._asking -= 1
            if job is not None and not self._over:
                self._on_their_way += 1
                return job
            self._exhausted = True
            self._end_if_over()
            return None

    def _decode(self, worker: DecodeWorker, number: int, stretch: Segment) -> None:
        began = time.perf_counter()
        decoded = worker.decode(stretch, self._budget)
        if self._aborted:
            return
        if isinstance(decoded, FailureReason):
            self.stages.add("decode", time.perf_counter() - began)
            self._finish(number, stretch, Failure(str(stretch.path), decoded))
            return
        self.stages.add("decode", decoded.seconds)
        clips = spread_out(len(decoded.frames))
        first = clips if self._settled is None else clips[:FIRST_CLIPS]
        video = DecodedVideo(number, stretch, decoded.frames, decoded.facts, first, clips[len(first) :])
        self._ready.put(video)

    # the batch thread

    def _make_batches(self) -> None:
        maker = BatchMaker(self._rules, self._ready, self._clips_at_once, self._note, self.stages)
        try:
            while True:
                self._ahead.acquire()
                batch = None if self._aborted else maker.next()
                if batch is None:
                    return
                self._batches.put(batch)
        finally:
            maker.close()

    def _clips_at_once(self) -> int:
        return max(1, min(network.views_at_once for network in self._networks) // self._rules.crops)

    # network threads

    def _look_at_all(self, network: Network) -> None:
        while (batch := self._batches.get()) is not None:
            self._ahead.release()
            try:
                with self.stages.timed("network"):
                    outputs = network.look(batch.views)
            except (InputShapeError, NumericalError) as error:
                for video, clip in batch.clips:
                    self._note(video, clip, error)
                continue
            by_clip = outputs.reshape(len(batch.clips), self._rules.crops, -1)  # (N*K, classes) -> (N, K, classes)
            for (video, clip), output in zip(batch.clips, by_clip, strict=True):
                self._note(video, clip, output)

    def _note(self, video: DecodedVideo, clip: int, output: Array | Exception) -> None:
        """Something is known about a clip: maybe the video is done, maybe it goes round again."""
        with self._state:
            if isinstance(output, Exception):
                video.fault = output
            else:
                video.outputs[clip] = output
            video.awaited -= 1
            if video.awaited:
                return
        known = [place for place, found in enumerate(video.outputs) if found is not None]
        if video.fault is not None:
            self._leave(video, Failure.of(str(video.stretch.path), video.fault))
            return
        outputs = np.stack([found for found in video.outputs if found is not None])
        if video.later_clips and self._settled is not None and not self._settled(outputs):
            video.next_clips, video.awaited = [video.later_clips.pop(0)], 1
            self._ready.put(video)
            return
        whole = np.zeros((len(video.outputs), *outputs.shape[1:]), np.float32)
        whole[known] = outputs
        self._leave(video, Seen(video.facts, whole, tuple(known)))

    def _leave(self, video: DecodedVideo, result: Seen | Failure) -> None:
        self._budget.give_back(video.frames.nbytes)
        video.frames = np.empty(0, np.uint8)
        self._finish(video.number, video.stretch, result)

    def _finish(self, number: int, stretch: Segment, result: Seen | Failure) -> None:
        self._done.put(Outcome(number, stretch, result))
        with self._state:
            self._on_their_way -= 1
            self._end_if_over()

    def _end_if_over(self) -> None:
        """End if nothing is on its way, and nothing comes any more. To be called with ``_state`` held."""
        if self._over or self._on_their_way:
            return
        if self._stopping or (self._exhausted and not self._asking):
            self._over = True
            self._ready.put(None)
            self._done.put(None)
