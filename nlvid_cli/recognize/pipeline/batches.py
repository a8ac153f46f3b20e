"""Videos on their way through the network, and the batches of views made of their clips."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Preprocess
from nlvid_cli.recognize.pipeline.shared import Stages
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.clips import ClipTable
from nlvid_cli.video.info import Pixels, VideoFacts
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.segment import Segment

Array = NDArray[np.float32]

MAX_PREPARERS = 8
"""Clips that are normalised at the same time."""


@dataclass(frozen=True, eq=False)
class VideoOutputs:
    """Outputs of the network for one video, or for a part of one.

    Attributes:
        segment: The video.
        facts: Its duration, rate and size.
        start_seconds: (clips,) start of each clip.
        end_seconds: (clips,) end of each clip.
        outputs: (clips, crops, classes) scores or logits, as the card combines them; or what the run looks for.
        warnings: Oddities of the file, in sentences; all of them with the last part.
    """

    segment: Segment
    facts: VideoFacts
    start_seconds: tuple[float, ...]
    end_seconds: tuple[float, ...]
    outputs: Array
    warnings: tuple[str, ...]


@dataclass(eq=False)
class PendingVideo:
    """A decoded video, or a part of one, whose clips wait for the network.

    Attributes:
        number: Number of the video in its run.
        part: Number of the part in its video, from 0.
        segment: The video.
        frames: Decoded frames, (different clips, frames, height, width, 3); or (frames, height, width, 3) where clips
            share them.
        clips: Where its clips are.
        next_clips: Clips to look at now; each is removed when it goes into a batch.
        later_clips: Clips to look at only if the answer is not settled without them.
        awaited: Number of clips that were sent to the network and are not back.
        outputs: (crops, classes) outputs by clip.
        error: Error of one of its clips.
    """

    number: int
    part: int
    segment: Segment
    frames: Pixels
    clips: ClipTable
    next_clips: list[int]
    later_clips: list[int]
    awaited: int = field(init=False)
    outputs: dict[int, Array] = field(default_factory=dict)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.awaited = len(self.next_clips)

    def frames_of(self, clip: int) -> Pixels:
        """Frames of one of the different clips, (1, frames, height, width, 3)."""
        if not self.clips.frame_places:
            return self.frames[clip : clip + 1]
        return self.frames[None, self.clips.frame_places[clip]]

    def outputs_so_far(self) -> Array:
        """Outputs of the different clips that are back, (clips, crops, classes), in order of time."""
        return np.stack([self.outputs[clip] for clip in sorted(self.outputs)])

    def result(self) -> VideoOutputs:
        """Outputs of every clip in the video's table whose frames were looked at."""
        table = self.clips
        seen = [clip for clip, place in enumerate(table.places) if place in self.outputs]
        return VideoOutputs(
            self.segment,
            table.facts,
            tuple(table.start_seconds[clip] for clip in seen),
            tuple(table.end_seconds[clip] for clip in seen),
            np.stack([self.outputs[table.places[clip]] for clip in seen]) if seen else np.empty((0, 0, 0), np.float32),
            table.warnings,
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Normalised views, (views, 3, T, H, W), of clips; the crops of a clip follow each other.

    ``clips`` holds each clip as its video and its number in ``PendingVideo.frames``.
    """

    clips: list[tuple[PendingVideo, int]]
    views: Array


class BatchMaker:
    """Fills batches with clips of all videos that are ready.

    Args:
        rules: The card's preprocessing.
        ready: Videos with clips in ``next_clips``; None after the last one.
        clips_at_once: Returns the best number of clips for a batch; called before each.
        stages: Clock of the run.
    """

    def __init__(
        self,
        rules: Preprocess,
        ready: SimpleQueue[PendingVideo | None],
        clips_at_once: Callable[[], int],
        stages: Stages,
    ) -> None:
        self._rules = rules
        self._ready = ready
        self._clips_at_once = clips_at_once
        self._stages = stages
        self._waiting: list[PendingVideo] = []
        self._pool = ThreadPoolExecutor(min(MAX_PREPARERS, usable_processors()))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def next(self) -> Batch | None:
        """Return the next batch; wait for its first clip only. None after the last one."""
        clips = self._gather()
        if not clips:
            return None
        with self._stages.timed("prepare"):
            views = list(self._pool.map(self._normalised, clips))
        return Batch(clips, views[0] if len(views) == 1 else np.concatenate(views))

    def _gather(self) -> list[tuple[PendingVideo, int]]:
        wanted = self._clips_at_once()
        clips: list[tuple[PendingVideo, int]] = []
        while len(clips) < wanted:
            if not self._waiting:
                if clips and self._ready.empty():
                    break
                video = self._ready.get()
                if video is None:
                    self._ready.put(None)  # for the next call: this batch is still to be returned
                    break
                self._waiting.append(video)
            clips.append((self._waiting[0], self._waiting[0].next_clips.pop(0)))
            if not self._waiting[0].next_clips:
                self._waiting.pop(0)
        return clips

    def _normalised(self, clip: tuple[PendingVideo, int]) -> Array:
        video, number = clip
        return preprocess(video.frames_of(number), self._rules)
