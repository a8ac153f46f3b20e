"""Batches of training clips, made ahead of time by worker processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.context import BaseContext
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nlvid_cli.errors import NlvidError, WorkerError
from nlvid_cli.training.clips import BadVideo, ClipDataset, Sample
from nlvid_cli.training.division import ClipKey, Division


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

    def pin_memory(self) -> ClipBatch:
        """Return the batch in page-locked memory, from which a GPU copies by itself. torch's loader calls this."""
        return ClipBatch(self.clips.pin_memory(), self.targets.pin_memory(), self.bad)


class ClipLoader:
    """Iterator over the batches of one process, from some step to the end of the run.

    Workers ignore Ctrl-C and SIGTERM, which terminals and clusters send to all processes of a run: the main process
    needs clips until its step is finished. Workers end when they are told to, or with the main process.

    Args:
        clips: Training clips.
        division: Which clips belong to which batch.
        first_step: Step to start at.
        workers: Number of worker processes. With 0, each batch is made when it is asked for.
        pin: Whether to put batches into page-locked memory.
    """

    def __init__(self, clips: ClipDataset, division: Division, first_step: int, workers: int, pin: bool) -> None:
        loader = DataLoader(
            _Attempts(clips),
            batch_sampler=_Passes(division, first_step),
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pin,
            multiprocessing_context=_context() if workers else None,
            prefetch_factor=2 if workers else None,
            worker_init_fn=_begin_worker if workers else None,
        )
        with _children_without_signals():
            self._batches = iter(loader)

    def __next__(self) -> ClipBatch:
        """Return the next batch.

        Raises:
            UnreadableVideo: Too many videos cannot be used.
            WorkerError: A worker process has died.
        """
        try:
            batch: ClipBatch | NlvidError = next(self._batches)
        except RuntimeError as error:
            if "exited unexpectedly" not in str(error):
                raise
            raise WorkerError(
                f"a worker process that decodes training videos died ({error}); if memory ran out, use fewer "
                "--workers; continue from the last saved state with --resume"
            ) from error
        if isinstance(batch, NlvidError):
            raise batch
        return batch

    def close(self) -> None:
        """End the workers."""
        _end_workers(self._batches)


def _end_workers(batches: Any) -> None:
    """End the worker processes of an iterator of torch's DataLoader; do nothing if it has none.

    torch ends workers when the iterator is collected, by SIGTERM at worst. Ours ignore that signal, so one that hangs
    in a decoder would keep the main process from ending. torch has no public way to end workers at a given time, or to
    list them. Its internals are used here and nowhere else.
    """
    if not hasattr(batches, "_workers"):
        return
    batches._shutdown_workers()
    for worker in batches._workers:
        if worker.is_alive():
            worker.kill()


def _context() -> BaseContext | None:
    """Return how workers start: on Linux, from a server process that imports this module once for all of them."""
    if not hasattr(os, "fork"):
        return None
    context = get_context("forkserver")
    if sys.platform == "linux":  # frameworks of macOS do not survive a fork once they are loaded
        context.set_forkserver_preload([__name__])
    return context


@dataclass(frozen=True)
class _Passes(Sampler[list[ClipKey]]):
    division: Division
    first_step: int

    def __iter__(self) -> Iterator[list[ClipKey]]:
        return self.division.passes(self.first_step)


@dataclass(frozen=True)
class _Attempts(Dataset[Sample | NlvidError]):
    """Clips, or the error instead of one: torch turns an error that a worker raises into a page of text."""

    clips: ClipDataset

    def __getitem__(self, key: ClipKey) -> Sample | NlvidError:
        try:
            return self.clips[key]
        except NlvidError as error:
            return error


def _collate(samples: Sequence[Sample | NlvidError]) -> ClipBatch | NlvidError:
    for sample in samples:
        if isinstance(sample, NlvidError):
            return sample
    clips, targets, bad = zip(*samples, strict=True)
    return ClipBatch(torch.stack(clips), torch.stack(targets), tuple(video for videos in bad for video in videos))


@contextmanager
def _children_without_signals() -> Iterator[None]:
    """Start processes that get neither Ctrl-C nor SIGTERM, and nor do their children; this process gets them later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing unblocks the signals when it starts this process by itself
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(worker: int) -> None:
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):  # for systems where they could not be blocked at the start
        signal.signal(number, signal.SIG_IGN)
