"""Batches of training clips, made ahead of time by threads; processes read the videos.

::

    keys ─> read threads ─> clips ─> batch thread ─> batches ─> caller
            one process each          in the order of the keys

Frames come from the processes in anonymous memory, so that the size of ``/dev/shm`` does not matter.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nlvid_cli.errors import WorkerError
from nlvid_cli.training.clips import BadVideo, ClipDataset, Sample
from nlvid_cli.training.division import ClipKey, Division

AHEAD = 2
"""Clips that are made ahead for each worker, besides those of the next batch."""

WAIT_SECONDS = 0.5
"""Time between two looks at whether the run is to end, while a batch is not ready."""

PATIENCE_SECONDS = 5.0
"""Time that a run that is to end waits for a batch. A decoder that hangs would take its whole time limit."""


@dataclass(frozen=True)
class ClipBatch:
    """Clips of one forward pass in one process.

    Attributes:
        clips: (N, T, 3, crop, crop) uint8.
        targets: (N, classes) float32: 1 for each class that is visible in the clip.
        bad: Videos that were replaced.
    """

    clips: Tensor
    targets: Tensor
    bad: tuple[BadVideo, ...]


class ClipLoader:
    """Iterator over the batches of one process, from some step to the end of the run.

    Args:
        clips: Training clips.
        division: Which clips belong to which batch.
        first_step: Step to start at.
        workers: Number of threads that make clips. With 0, each batch is made when it is asked for.
        pin: Whether to put batches into page-locked memory, from which a GPU copies by itself.

    Attributes:
        is_ending: Whether the run is to end; asked while a batch is not ready.
    """

    def __init__(self, clips: ClipDataset, division: Division, first_step: int, workers: int, pin: bool) -> None:
        self.is_ending: Callable[[], bool] = lambda: False
        self._clips, self._pin = clips, pin
        self._passes = division.passes(first_step)
        self._ahead = 1 + -(-AHEAD * workers // division.clips_per_pass)
        self._workers = workers
        self._batches: deque[Future[ClipBatch]] = deque()
        self._batcher = ThreadPoolExecutor(1, thread_name_prefix="batch")

    def __next__(self) -> ClipBatch:
        """Return the next batch.

        Raises:
            StopIteration: The run is over.
            UnreadableVideo: Too many videos cannot be used.
            WorkerError: No process to read videos starts; or the run is to end, and the batch takes long.
        """
        if self._workers == 0:
            return self._batch([self._clips[key] for key in next(self._passes)])
        while len(self._batches) < self._ahead and (keys := next(self._passes, None)) is not None:
            self._batches.append(self._begin(keys))
        if not self._batches:
            raise StopIteration
        return self._wait_for(self._batches.popleft())

    def close(self) -> None:
        """Make no more batches. Clips that are begun end with the readers of the clips."""
        self._batcher.shutdown(wait=False, cancel_futures=True)

    def _begin(self, keys: Sequence[ClipKey]) -> Future[ClipBatch]:
        assert self._clips.readers is not None
        clips = [self._clips.readers.submit(partial(self._clips.make, key)) for key in keys]
        return self._batcher.submit(lambda: self._batch([clip.result() for clip in clips]))

    def _batch(self, samples: Sequence[Sample]) -> ClipBatch:
        clips, targets, bad = zip(*samples, strict=True)
        batch = torch.stack(clips), torch.stack(targets)
        if self._pin:
            batch = batch[0].pin_memory(), batch[1].pin_memory()
        return ClipBatch(*batch, tuple(video for videos in bad for video in videos))

    def _wait_for(self, batch: Future[ClipBatch]) -> ClipBatch:
        end: float | None = None
        while not wait([batch], WAIT_SECONDS).done:
            if end is None and self.is_ending():
                end = time.monotonic() + PATIENCE_SECONDS
            if end is not None and time.monotonic() > end:
                raise WorkerError("the next clips take long to decode, and the run is to end")
        return batch.result()
