"""From a labelled video to a training clip. Only the frames of the clip are decoded.

A video that cannot be used is replaced by another, always by the same one, and reported. It never ends the training.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nlvid_cli.card.card import Card
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.errors import NlvidError, UnreadableVideo, WorkerError
from nlvid_cli.recognize.pipeline.readers import Readers
from nlvid_cli.training.augment import apply_crop, draw_crop
from nlvid_cli.training.division import ClipKey
from nlvid_cli.training.frame_cache import FrameCache
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.video.info import Numbers, VideoInfo
from nlvid_cli.video.reader import ReaderHere, VideoReader
from nlvid_cli.video.sample import SHORT_VIDEO, timeline_of
from nlvid_cli.video.trim import trim

MAX_REPLACEMENTS = 50
"""Number of unusable videos in a row after which the training ends."""

MAX_INFOS = 4096
"""Number of probed videos to keep in memory: 10 MB for videos of ten seconds."""


@dataclass(frozen=True)
class BadVideo:
    """A training video that was replaced.

    Attributes:
        path: Path to the video.
        message: What is wrong with it.
    """

    path: str
    message: str


Sample = tuple[Tensor, Tensor, tuple[BadVideo, ...]]
"""Clip (T, 3, crop, crop) uint8, target (classes,) float32, and the videos that could not be used for it."""


@dataclass
class ClipDataset:
    """Training clips by :class:`ClipKey`. Any number of threads may make clips.

    Attributes:
        data: Training videos.
        card: Card of the model, with its frames, step, crop, and rule for short videos.
        recipe: Recipe with the augmentation.
        seed: Random seed.
        cache: Decoded videos, if they fit.
        readers: Processes that read the other videos; None: this process does.
    """

    data: DataSet
    card: Card
    recipe: Recipe
    seed: int
    cache: FrameCache
    readers: Readers | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _infos: dict[int, VideoInfo] = field(default_factory=dict)
    _bad: dict[int, BadVideo] = field(default_factory=dict)

    def __getitem__(self, key: ClipKey) -> Sample:
        """Make a clip in this process; see :meth:`make`."""
        return self.make(key, ReaderHere(self.card.preprocess.size))

    def make(self, key: ClipKey, reader: VideoReader) -> Sample:
        """Return the clip of that key; the same key always gives the same clip.

        Raises:
            UnreadableVideo: :data:`MAX_REPLACEMENTS` videos in a row cannot be used.
            WorkerError: The machine starts no process to read videos.
        """
        bad: list[BadVideo] = []
        rng = np.random.default_rng((self.seed, *key))
        video = key.video
        while len(bad) < MAX_REPLACEMENTS:
            if video not in self._bad:
                try:
                    return (*self._clip(video, rng, reader), tuple(bad))
                except WorkerError:
                    raise
                except Exception as error:  # whatever a file does to a decoder, training goes on with another
                    if os.environ.get("NLVID_DEBUG") == "1" and not isinstance(error, NlvidError):
                        raise
                    message = str(error) or type(error).__name__
                    self._bad[video] = BadVideo(str(self.data.videos[video].path), message)
            bad.append(self._bad[video])
            rng = np.random.default_rng((self.seed, *key, len(bad)))
            video = int(rng.integers(len(self.data.videos)))
        raise UnreadableVideo(
            f"{MAX_REPLACEMENTS} training videos in a row cannot be used; the last: {bad[-1].path}: {bad[-1].message}; "
            "list the problems with `nlvid train DATA --check`"
        )

    def _clip(self, video: int, rng: np.random.Generator, reader: VideoReader) -> tuple[Tensor, Tensor]:
        if video in self.cache.bad:
            raise UnreadableVideo(self.cache.bad[video])
        labelled = self.data.videos[video]
        info = self._info(video, reader)
        numbers = draw_frames(info, labelled, self.card, rng)
        crop_rng = rng.spawn(1)[0]
        frames = self.cache.frames(video, numbers)
        if frames is None:
            frames = reader.read(info, numbers, decoded_side(self.card, self.recipe)).frames[0]
        window = draw_crop(crop_rng, frames.shape[1:3], self.recipe.short_sides, self.recipe.flip)
        # (T, H, W, 3) -> (T, 3, H, W)
        clip = apply_crop(torch.from_numpy(frames).permute(0, 3, 1, 2), window, self.card.preprocess.crop)
        return clip.contiguous(), self._target(labelled, info, numbers)

    def _info(self, video: int, reader: VideoReader) -> VideoInfo:
        if video in self.cache.infos:
            return self.cache.infos[video]
        with self._lock:
            info = self._infos.pop(video, None)
        info = info or reader.probe(self.data.videos[video].path)
        with self._lock:
            self._infos[video] = info  # at the end, so that the first one is the least recently used
            if len(self._infos) > MAX_INFOS:
                del self._infos[next(iter(self._infos))]
        return info

    def _target(self, labelled: LabelledVideo, info: VideoInfo, numbers: Numbers) -> Tensor:
        """Return 1 for each class that is visible in the clip: (classes,)."""
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
    """Return the short side that training decodes to, in pixels: the largest one the augmentation draws."""
    return round(card.preprocess.crop * recipe.short_sides[1])


def draw_frames(info: VideoInfo, labelled: LabelledVideo, card: Card, rng: np.random.Generator) -> Numbers:
    """Draw the frame numbers of a clip that starts anywhere in the video, or in its labelled stretch: (frames,) int64.

    If that is shorter than the clip, the card's rule for short videos completes it.

    Raises:
        UnreadableVideo: The stretch is outside the video.
    """
    sampling = card.sampling
    part, first = trim(info, labelled.stretch)
    to_frame, timeline = timeline_of(part, sampling.frame_rate)
    reach = (sampling.frames - 1) * sampling.step + 1
    start = int(rng.integers(0, max(0, timeline.positions - reach), endpoint=True))
    positions = start + np.arange(sampling.frames) * sampling.step
    chosen: Numbers = first + to_frame[SHORT_VIDEO[sampling.short_video](positions, timeline.positions)]
    return chosen
