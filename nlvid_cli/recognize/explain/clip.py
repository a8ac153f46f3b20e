"""The clips of a video with their frames' numbers and times, and uncropped, as an explanation needs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nlvid_cli.errors import UsageError
from nlvid_cli.recognize.explain.places import ClipFrame, ViewPlaces
from nlvid_cli.recognize.windows import WindowPlan
from nlvid_cli.video.info import Numbers, Pixels, VideoInfo
from nlvid_cli.video.preprocess import crop_corners
from nlvid_cli.video.probe import probe_segment
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import sample
from nlvid_cli.video.trim import trim

if TYPE_CHECKING:
    from nlvid_cli.card.card import Preprocess, Sampling
    from nlvid_cli.video.segment import Segment


@dataclass(frozen=True, eq=False)
class ReadClips:
    """Clips of a video.

    Attributes:
        info: The video.
        numbers: (different clips, T), the frames of each.
        pictures: (different clips, T, height, width, 3), resized and not cropped.
        start_seconds: (clips,) start of each clip, from the first frame of the file.
        end_seconds: (clips,) end of each clip.
        places: (clips,) index of each clip among the different ones.
        warnings: Oddities of the file, in sentences.
    """

    info: VideoInfo
    numbers: Numbers
    pictures: Pixels
    start_seconds: tuple[float, ...]
    end_seconds: tuple[float, ...]
    places: tuple[int, ...]
    warnings: tuple[str, ...]

    def view(self, clip: int, crop: int, rules: Preprocess) -> ViewPlaces:
        """Return where a view lies: ``clip`` is one of the different ones, ``crop`` one of its crops."""
        height, width = self.pictures.shape[2:4]
        top, left = crop_corners(height, width, rules)[crop]
        times = self.info.times_seconds
        frames = tuple(ClipFrame(int(number), float(times[number])) for number in self.numbers[clip])
        facts = self.info.facts
        return ViewPlaces(frames, facts.width, facts.height, width, height, left, top, rules.crop)


def read_clips(segment: Segment, sampling: Sampling, rules: Preprocess) -> ReadClips:
    """Read the clips that ``classify`` looks at.

    Raises:
        VideoError: The video cannot be used.
    """
    info = probe_segment(segment)
    part, first = trim(info, segment.stretch)
    plan = sample(part, sampling)
    different, places = np.unique(plan.frame_numbers + first, axis=0, return_inverse=True)
    offset = float(info.times_seconds[first])
    starts, ends = (tuple(offset + time for time in times) for times in (plan.start_seconds, plan.end_seconds))
    return _read(info, rules, different, starts, ends, tuple(places.ravel().tolist()), plan.warnings)


def read_clip_at(segment: Segment, sampling: Sampling, rules: Preprocess, seconds: float) -> ReadClips:
    """Read the clip in whose middle a time is, or nearly so at the ends of the video.

    Raises:
        VideoError: The video cannot be used.
        UsageError: The time is not in the video, or in the part of it that is asked for.
    """
    info = probe_segment(segment)
    part, first = trim(info, segment.stretch)
    start = float(info.times_seconds[first])
    if not start <= seconds <= start + part.facts.duration_seconds:
        end = start + part.facts.duration_seconds
        raise UsageError(f"{segment}: there is nothing at {seconds:g} s; it has {start:.2f} to {end:.2f} s")
    window = WindowPlan(info, segment.stretch, replace(sampling, clips=1), None).around(seconds)
    numbers = window.frame_numbers[None]
    return _read(info, rules, numbers, (window.start_seconds,), (window.end_seconds,), (0,), window.warnings)


def _read(
    info: VideoInfo,
    rules: Preprocess,
    numbers: Numbers,
    starts: tuple[float, ...],
    ends: tuple[float, ...],
    places: tuple[int, ...],
    remarks: tuple[str, ...],
) -> ReadClips:
    read = read_frames(info, numbers, rules.short_side, rules.resize, rules.size)
    return ReadClips(info, numbers, read.frames, starts, ends, places, info.warnings + remarks + read.warnings)
