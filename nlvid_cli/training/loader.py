"""Training clips out of labelled videos: only the frames that a clip needs are decoded.

A video that cannot be used is replaced by another one, always by the same, and reported; it never ends the training.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.errors import NlvidError, UnreadableVideo, WorkerError
from nlvid_cli.training.augment import apply_look, draw_look
from nlvid_cli.training.division import Division, Key
from nlvid_cli.training.memory import FrameMemory, Frames
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.video.info import Numbers, VideoInfo
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import SHORT_VIDEO, timeline_of
from nlvid_cli.video.trim import trim

MAX_REPLACEMENTS = 50
"""Bad videos in a row before the data set is taken to be unusable."""

MAX_INFOS = 4096
"""What probing found is kept of so many videos in each worker: 30 MB, where they are of ten seconds each."""


@dataclass(frozen=True)
class BadVideo:
    """A training video that was replaced: its number, its path, and what is wrong with it."""

    video: int
    path: str
    message: str


@dataclass(frozen=True)
class Batch:
    """Clips of one forward pass of one process.

    Attributes:
        clips: (N, T, 3, crop, crop) uint8.
        targets: (N, classes) float32: 1 for each class that is seen in the clip.
        bad: videos that were replaced.
    """

    clips: Tensor
    targets: Tensor
    bad: tuple[BadVideo, ...]

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU can fetch by itself; torch's loader asks for this."""
        return Batch(self.clips.pin_memory(), self.targets.pin_memory(), self.bad)


_Sample = tuple[Tensor, Tensor, tuple[BadVideo, ...]]


@dataclass
class ClipDataset(Dataset[_Sample]):
    """Clips by :class:`Key`.

    Attributes:
        data: the training videos.
        card: of the model; its frames, step, crop and rule for short videos count.
        recipe: its augmentation counts.
        seed: of the random numbers.
        memory: decoded videos, of those that fit.
    """

    data: DataSet
    card: Card
    recipe: Recipe
    seed: int
    memory: FrameMemory
    _infos: dict[int, VideoInfo] = field(default_factory=dict)
    _bad: dict[int, str] = field(default_factory=dict)

    def __getitem__(self, key: Key) -> _Sample:
        """(T, 3, crop, crop) uint8, (classes,) float32, and the videos that could not be used for it."""
        bad: list[BadVideo] = []
        rng = np.random.default_rng((self.seed, *key))
        video = key.video
        while len(bad) < MAX_REPLACEMENTS:
            try:
                return (*self._clip(video, rng), tuple(bad))
            except Exception as error:  # whatever a file does to a decoder, the others go on
                if os.environ.get("NLVID_DEBUG") == "1" and not isinstance(error, NlvidError):
                    raise
                self._bad[video] = str(error) or type(error).__name__
                bad.append(BadVideo(video, str(self.data.videos[video].path), self._bad[video]))
            rng = np.random.default_rng((self.seed, *key, len(bad)))
            video = int(rng.integers(len(self.data.videos)))
        raise UnreadableVideo(
            f"{MAX_REPLACEMENTS} training videos one after the other cannot be used, the last one {bad[-1].path}: "
            f"{bad[-1].message}; `nlvid train DATA --check` lists what is wrong"
        )

    def _clip(self, video: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        if video in self._bad:
            raise UnreadableVideo(self._bad[video])
        labelled = self.data.videos[video]
        info = self._info(video)
        numbers = draw_frames(info, labelled, self.card, rng)
        look_numbers = rng.spawn(1)[0]
        frames = self.memory.frames(video, numbers)
        if frames is None:
            frames = decode(info, numbers, decoded_side(self.card, self.recipe), self.card)
        look = draw_look(look_numbers, frames.shape[1:3], self.recipe.short_sides, self.recipe.flip)
        # (T, H, W, 3) -> (T, 3, H, W)
        clip = apply_look(torch.from_numpy(frames).permute(0, 3, 1, 2), look, self.card.preprocess.crop)
        return clip.contiguous(), self._target(labelled, info, numbers)

    def _info(self, video: int) -> VideoInfo:
        if video in self.memory.infos:
            return self.memory.infos[video]
        info = self._infos.pop(video, None) or probe(self.data.videos[video].path)
        self._infos[video] = info  # the last one that was used comes last
        if len(self._infos) > MAX_INFOS:
            del self._infos[next(iter(self._infos))]
        return info

    def _target(self, labelled: LabelledVideo, info: VideoInfo, numbers: Numbers) -> Tensor:
        target = torch.zeros(len(self.data.classes))
        begin, end = info.times_seconds[numbers.min()], info.times_seconds[numbers.max()]
        for place, label in enumerate(labelled.labels):
            if labelled.label_times:
                label_begin, label_end = labelled.label_times[place]
                if label_begin > end or label_end < begin:
                    continue
            target[label] = 1.0
        return target


def decoded_side(card: Card, recipe: Recipe) -> int:
    """Short side that training decodes to: the largest that it scales to."""
    return round(card.preprocess.crop * recipe.short_sides[1])


def decode(info: VideoInfo, numbers: Numbers, short_side: int, card: Card) -> Frames:
    """The frames with these numbers, (frames,) -> (frames, height, width, 3), in the shape that the card gives them."""
    frames: Frames = read_frames(info, numbers[None], short_side, size=card.preprocess.size, threads=1).frames[0]
    return frames


def draw_frames(info: VideoInfo, labelled: LabelledVideo, card: Card, rng: np.random.Generator) -> Numbers:
    """Frame numbers of a clip that begins anywhere in the video, or in its labelled stretch: (frames,) int64.

    Where that is shorter than the clip, the card's rule for short videos completes it.

    Raises:
        UnreadableVideo: the stretch lies outside the video.
    """
    sampling = card.sampling
    part, first = trim(info, labelled.start_seconds, labelled.end_seconds)
    to_frame, timeline = timeline_of(part, sampling.frame_rate)
    reach = (sampling.frames - 1) * sampling.step + 1
    start = int(rng.integers(0, max(0, timeline.positions - reach), endpoint=True))
    positions = start + np.arange(sampling.frames) * sampling.step
    chosen: Numbers = first + to_frame[SHORT_VIDEO[sampling.short_video](positions, timeline.positions)]
    return chosen


class Batches:
    """All forward passes of a process from some step on, made ahead of time by worker processes.

    The workers take no notice of Ctrl-C and SIGTERM, which terminals and clusters send to all processes of a run: the
    main process needs clips until its step is over. They end when they are told to, or with the main process.

    Args:
        dataset: the training clips.
        division: who looks at what when.
        first_step: to begin with.
        workers: processes; with 0, each batch is made when it is asked for.
        pin: put batches into memory that a GPU can fetch by itself.
    """

    def __init__(self, dataset: ClipDataset, division: Division, first_step: int, workers: int, pin: bool) -> None:
        loader = DataLoader(
            _Attempts(dataset),
            batch_sampler=_Passes(division, first_step),
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pin,
            multiprocessing_context="forkserver" if workers and hasattr(os, "fork") else None,
            prefetch_factor=2 if workers else None,
            worker_init_fn=_begin_worker if workers else None,
        )
        with _processes_without_signals():
            self._batches = iter(loader)

    def __next__(self) -> Batch:
        """The next batch.

        Raises:
            UnreadableVideo: too many videos cannot be used.
            WorkerError: a worker is not there any more.
        """
        try:
            batch: Batch | NlvidError = next(self._batches)
        except RuntimeError as error:
            if "exited unexpectedly" not in str(error):
                raise
            raise WorkerError(
                f"a process that decodes training videos has ended unexpectedly ({error}); if memory ran out, use "
                "fewer --workers; --resume goes on from the last saved state"
            ) from error
        if isinstance(batch, NlvidError):
            raise batch
        return batch

    def close(self) -> None:
        """End the workers; one that does not end by itself would hold up the end of the main process."""
        if isinstance(self._batches, _MultiProcessingDataLoaderIter):
            self._batches._shutdown_workers()
            for worker in self._batches._workers:
                if worker.is_alive():
                    worker.kill()


@dataclass(frozen=True)
class _Passes(Sampler[list[Key]]):
    division: Division
    first_step: int

    def __iter__(self) -> Iterator[list[Key]]:
        return self.division.passes(self.first_step)


@dataclass(frozen=True)
class _Attempts(Dataset[_Sample | NlvidError]):
    """Clips, or why there is none: torch makes a page of text of an error that is raised in a worker."""

    clips: ClipDataset

    def __getitem__(self, key: Key) -> _Sample | NlvidError:
        try:
            return self.clips[key]
        except NlvidError as error:
            return error


def _collate(samples: Sequence[_Sample | NlvidError]) -> Batch | NlvidError:
    for sample in samples:
        if isinstance(sample, NlvidError):
            return sample
    clips, targets, bad = zip(*samples, strict=True)
    return Batch(torch.stack(clips), torch.stack(targets), tuple(video for videos in bad for video in videos))


@contextmanager
def _processes_without_signals() -> Iterator[None]:
    """Processes that are started meanwhile, and theirs, get neither Ctrl-C nor SIGTERM; this one gets them later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # whose start would take the block away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(worker: int) -> None:
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):  # for where it could not be blocked when this process was started
        signal.signal(number, signal.SIG_IGN)
