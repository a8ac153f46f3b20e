"""Clips of several videos, made into batches of views for a network."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Preprocess
from nlvid_cli.errors import InputShapeError
from nlvid_cli.recognize.pipeline.stages import Stages
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.clips import ClipTable, Segment
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.preprocess import preprocess

Array = NDArray[np.float32]

MAX_PREPARERS = 8
"""Clips that are normalised side by side."""


@dataclass(eq=False)
class DecodedVideo:
    """A decoded video whose clips are being looked at.

    Attributes:
        number: of the video in its run.
        stretch: of which file.
        frames: uint8, (different clips, frames, height, width, 3), as decoded.
        facts: of the video.
        next_clips: numbers of the clips to be looked at now; taken away as they go into batches.
        later_clips: of those that will be looked at only if the answer is not settled.
        awaited: how many clips were sent on their way, and are not back.
        outputs: of each clip, (crops, classes); None: not here.
        fault: what was wrong with a clip.
    """

    number: int
    stretch: Segment
    frames: Pixels
    facts: ClipTable
    next_clips: list[int]
    later_clips: list[int]
    awaited: int = field(init=False)
    outputs: list[Array | None] = field(init=False)
    fault: Exception | None = None

    def __post_init__(self) -> None:
        self.awaited = len(self.next_clips)
        self.outputs = [None] * len(self.frames)


Clip = tuple[DecodedVideo, int]
"""A video and the number of one of its clips."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Normalised views (views, 3, T, H, W) of clips, those of a clip next to each other."""

    clips: list[Clip]
    views: Array


class BatchMaker:
    """Fills batches with the clips of whichever videos are there.

    Args:
        rules: the card's.
        ready: videos with clips in ``next_clips``; None: no more come.
        clips_at_once: how many clips are best looked at together; asked before each batch.
        refuse: told of a clip that cannot be normalised, with the reason.
        stages: where busy times are counted.
    """

    def __init__(
        self,
        rules: Preprocess,
        ready: SimpleQueue[DecodedVideo | None],
        clips_at_once: Callable[[], int],
        refuse: Callable[[DecodedVideo, int, Exception], None],
        stages: Stages,
    ) -> None:
        self._rules = rules
        self._ready = ready
        self._clips_at_once = clips_at_once
        self._refuse = refuse
        self._stages = stages
        self._waiting: list[DecodedVideo] = []
        self._pool = ThreadPoolExecutor(min(MAX_PREPARERS, usable_processors()))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def next(self) -> Batch | None:
        """The next batch; waits for its first clip only. None at the end."""
        while clips := self._gather():
            with self._stages.timed("prepare"):
                views = list(self._pool.map(self._normalised, clips))
            good = [(clip, found) for clip, found in zip(clips, views, strict=True) if not isinstance(found, Exception)]
            for clip, found in zip(clips, views, strict=True):
                if isinstance(found, Exception):
                    self._refuse(*clip, found)
            if good:
                parts = [found for _, found in good]
                return Batch([clip for clip, _ in good], parts[0] if len(parts) == 1 else np.concatenate(parts))
        return None

    def _gather(self) -> list[Clip]:
        wanted = self._clips_at_once()
        clips: list[Clip] = []
        while len(clips) < wanted:
            if not self._waiting:
                if clips and self._ready.empty():
                    break
                video = self._ready.get()
                if video is None:
                    self._ready.put(None)  # what is left of this batch comes first
                    break
                self._waiting.append(video)
            clips.append((self._waiting[0], self._waiting[0].next_clips.pop(0)))
            if not self._waiting[0].next_clips:
                self._waiting.pop(0)
        return clips

    def _normalised(self, clip: Clip) -> Array | InputShapeError:
        video, number = clip
        try:
            return preprocess(video.frames[number : number + 1], self._rules)
        except InputShapeError as error:
            return error
