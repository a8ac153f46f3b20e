"""Track each video of a run from its decoded frames, clip by clip through the network, to its result."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

import numpy as np

from nlvid_cli.backends import Backend
from nlvid_cli.card.card import Card
from nlvid_cli.errors import InputShapeError, NumericalError
from nlvid_cli.recognize.combine import combination
from nlvid_cli.recognize.pipeline.batches import Array, Batch, PendingVideo, VideoOutputs
from nlvid_cli.recognize.pipeline.settled import FIRST_CLIPS, spread_out
from nlvid_cli.recognize.pipeline.shared import MemoryBudget, Stages
from nlvid_cli.recognize.pipeline.worker import Decoded
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.video.segment import Segment

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Outcome(Generic[T]):
    """The result of a video, or of a part of one.

    Attributes:
        number: Number of the video in its run, from 0.
        result: Its result, or why it failed.
        part: Number of the part, from 0.
        last: Whether it is the last part. With several devices, parts may be done in another order.
    """

    number: int
    result: T | Failure
    part: int = 0
    last: bool = True


class Tracker(Generic[T]):
    """Knows which videos are in flight; all threads of a run share it.

    Args:
        card: The model's card.
        finish: Makes the result of a video of its outputs; a NumericalError is a failure of this video.
        settled: Whether the outputs of some clips, (clips, crops, classes), need no more clips; None: all are needed.
        stages: Clock of the run.
        budget: Where the memory of a video's frames is given back when it is done; None: there is no budget.
        look: Takes what is wanted of each view of a batch, (views, ...), from a backend; None: what the card combines,
            scores or logits.

    Attributes:
        ready: Videos with clips for the network; None after the last one.
        done: Outcomes, and errors that end the run; None after the last one.
    """

    def __init__(
        self,
        card: Card,
        finish: Callable[[VideoOutputs], T],
        settled: Callable[[Array], bool] | None,
        stages: Stages,
        budget: MemoryBudget | None,
        look: Callable[[Backend, Batch], Array] | None = None,
    ) -> None:
        self.ready: SimpleQueue[PendingVideo | None] = SimpleQueue()
        self.done: SimpleQueue[Outcome[T] | BaseException | None] = SimpleQueue()
        self._crops = card.preprocess.crops
        pick = combination(card.labels).pick
        self._look = look or (lambda backend, batch: pick(backend.outputs(batch.views)))
        self._finish = finish
        self._settled = settled
        self._stages = stages
        self._budget = budget
        self._lock = threading.Lock()  # guards what follows, and the counts of each video
        self._in_flight = 0
        self._no_more = False
        self._over = False
        self._failed: set[int] = set()

    def begin(self) -> bool:
        """Count another video, or part, as in flight; return False if the run is over already."""
        with self._lock:
            self._in_flight += not self._over
            return not self._over

    def admit(self, number: int, segment: Segment, decoded: Decoded | Failure, part: int = 0) -> None:
        """Queue a decoded video, or a part of one, for the network; one that failed is done."""
        if isinstance(decoded, Failure):
            self._end(Outcome(number, decoded, part))
            return
        self._stages.add("decode", decoded.seconds)
        if not decoded.clips.places:
            nothing = PendingVideo(number, part, segment, decoded.frames, decoded.clips, [], [])
            self._end(Outcome(number, self._finish(nothing.result()), part, decoded.clips.last))
            return
        different = max(decoded.clips.places) + 1
        now, later = list(range(different)), []
        if self._settled is not None:
            order = spread_out(different)
            now, later = order[:FIRST_CLIPS], order[FIRST_CLIPS:]
        self.ready.put(PendingVideo(number, part, segment, decoded.frames, decoded.clips, now, later))

    def look(self, backend: Backend, batch: Batch) -> None:
        """Run the network on a batch, and note the outputs of each of its clips."""
        try:
            with self._stages.timed("network"):
                outputs = self._look(backend, batch)
        except (InputShapeError, NumericalError) as error:
            for video, clip in batch.clips:
                self._note(video, clip, error)
            return
        by_clip = outputs.reshape(len(batch.clips), self._crops, -1)  # (N*K, classes) -> (N, K, classes)
        for (video, clip), output in zip(batch.clips, by_clip, strict=True):
            self._note(video, clip, output)

    def no_more(self) -> None:
        """Begin no more videos: the run is over once those in flight are done."""
        with self._lock:
            self._no_more = True
            self._end_if_over()

    def failure(self, segment: Segment, error: Exception) -> Failure:
        """Return the failure of a video; with NLVID_DEBUG=1, raise the error instead."""
        if os.environ.get("NLVID_DEBUG") == "1":
            raise error
        return Failure.of(str(segment.path), error, segment.stretch, segment.fps)

    def _note(self, video: PendingVideo, clip: int, output: Array | Exception) -> None:
        """Keep the outputs of a clip. After the last one that is awaited, the video is done or gets another clip."""
        with self._lock:
            if isinstance(output, Exception):
                video.error = output
            else:
                video.outputs[clip] = output
            video.awaited -= 1
            if video.awaited:
                return
        result: T | Failure
        try:
            if video.error is not None:
                raise video.error
            if video.later_clips and self._settled is not None and not self._settled(video.outputs_so_far()):
                video.next_clips, video.awaited = [video.later_clips.pop(0)], 1
                self.ready.put(video)
                return
            result = self._finish(video.result())
        except (InputShapeError, NumericalError) as error:
            result = self.failure(video.segment, error)
        if self._budget is not None:
            self._budget.give_back(video.frames.nbytes)
        video.frames = np.empty(0, np.uint8)
        self._end(Outcome(video.number, result, video.part, video.clips.last))

    def has_failed(self, number: int) -> bool:
        """Whether a part of this video has failed, so that its other parts are of no use."""
        with self._lock:
            return number in self._failed

    def _end(self, outcome: Outcome[T]) -> None:
        self.done.put(outcome)
        with self._lock:
            if isinstance(outcome.result, Failure) and not outcome.last:
                self._failed.add(outcome.number)
            self._in_flight -= 1
            self._end_if_over()

    def _end_if_over(self) -> None:
        """End the run if no video is in flight and none will come. Call it with ``_lock`` held."""
        if self._no_more and not self._in_flight and not self._over:
            self._over = True
            self.ready.put(None)
            self.done.put(None)
