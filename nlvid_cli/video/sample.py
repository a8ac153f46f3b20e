"""Choose the frames of the clips: arithmetic only, no video needed.

Published test protocols work on *positions*, equal steps in time. If a card counts the video's own frames, and these
are evenly spaced, the positions are the frames. Otherwise the positions are an even grid in time, and each stands for
the nearest frame::

    frames      |  |  |        |  |  |        of uneven distance
    positions   |    |    |    |    |         every 1 / rate seconds
    frame       0    1    2    3?   4         nearest by time stamp, the earlier one of two equally near
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.video.clip_rules import CLIP_STARTS, Clock, Timeline, clip_span
from nlvid_cli.video.info import Numbers, Times, VideoInfo

if TYPE_CHECKING:
    from nlvid_cli.card.card import Sampling


@dataclass(frozen=True, eq=False)
class FramePlan:
    """Frames of each clip, and their times.

    Attributes:
        frame_numbers: (clips, frames) int64, in [0, number of frames).
        start_seconds: (clips,) time at which the clip's earliest frame is shown.
        end_seconds: (clips,) time at which its latest frame ends.
        warnings: Remarks for the user, in sentences.
    """

    frame_numbers: Numbers
    start_seconds: tuple[float, ...]
    end_seconds: tuple[float, ...]
    warnings: tuple[str, ...] = ()


def loop(indices: Numbers, positions: int) -> Numbers:
    """Continue with the first position after the last one."""
    return indices % positions


def hold(indices: Numbers, positions: int) -> Numbers:
    """Stay at the last position, and at the first one before it."""
    return np.clip(indices, 0, positions - 1)


SAME_SECONDS = 1e-6
"""Difference in time below which two frames count as equally near: it is only rounding."""

SHORT_VIDEO: dict[str, Callable[[Numbers, int], Numbers]] = {"loop": loop, "hold": hold}
"""(indices, positions) -> the indices, moved into [0, positions) where a clip extends beyond the video."""

WHEN_SHORT = {
    "loop": "its frames are repeated",
    "hold": "its last frame is held",
    "ends_strided": "its last frame is held",
    "wrapped": "its frames are repeated",
    "timed_windows": "its frames are taken closer together",
    "centred_segments": "its first and last frames are held",
}
"""What happens to a video that is shorter than a clip: by its clip rule, or else by its rule for short videos."""

NTSC = Fraction(1000, 1001)
"""Factor of the rates 24000/1001, 30000/1001 and 60000/1001: a whole number times this."""

MISSTATED = 0.05
"""Share of the frames by which a file may state too many or too few, and is still believed."""

LATE_SECONDS = 0.2
"""Time of the first frame from which on time counts from this frame: MPEG starts at 0.5 or 1.4 s, cameras anywhere."""

STAMP_SECONDS = 0.002
"""Error of a duration with time stamps in whole milliseconds, as in Matroska and WebM."""


def sample(info: VideoInfo, sampling: Sampling) -> FramePlan:
    """Choose the frames of all clips.

    Args:
        info: The video; only its times, duration, frame rate and the constancy of the rate matter.
        sampling: The card's sampling.
    """
    to_frame, timeline = timeline_of(info, sampling.frame_rate)
    positions = CLIP_STARTS[sampling.clip_starts](timeline, sampling)
    frame_numbers = to_frame[SHORT_VIDEO[sampling.short_video](positions, timeline.positions)]  # (clips, frames)
    frame_ends = np.append(info.times_seconds[1:], info.facts.duration_seconds)
    return FramePlan(
        frame_numbers,
        tuple(info.times_seconds[frame_numbers.min(axis=1)].tolist()),
        tuple(frame_ends[frame_numbers.max(axis=1)].tolist()),
        _warnings(timeline, sampling),
    )


def _warnings(timeline: Timeline, sampling: Sampling) -> tuple[str, ...]:
    span = clip_span(timeline, sampling)
    if timeline.positions >= span:
        return ()
    what = WHEN_SHORT.get(sampling.clip_starts) or WHEN_SHORT[sampling.short_video]
    return (f"the video is shorter than one clip ({timeline.positions} of {span} frames): {what}",)


@dataclass(frozen=True, eq=False)
class FrameAt:
    """Frame numbers by position, computed on demand: a jump in time makes billions of positions.

    Attributes:
        times_seconds: (frames,) ascending.
        rate: Positions per second; None if positions are frames.
    """

    times_seconds: Times
    rate: float | None

    def __getitem__(self, positions: Numbers) -> Numbers:
        return positions if self.rate is None else nearest_frames(self.times_seconds, positions / self.rate)


def timeline_of(info: VideoInfo, frame_rate: float | None) -> tuple[FrameAt, Timeline]:
    """Return the frame number at each position, and the positions' times; ``frame_rate`` is the card's."""
    if frame_rate is None and not info.facts.variable_frame_rate:
        frames = len(info.times_seconds)
        rate = exact_rate(frames, info.facts.duration_seconds)
        return FrameAt(info.times_seconds, None), Timeline(frames, rate, _clock(info))
    frame_rate = frame_rate or info.facts.frame_rate
    positions = max(1, round(info.facts.duration_seconds * frame_rate))
    rate = Fraction(frame_rate).limit_denominator(1001) or Fraction(frame_rate)
    return FrameAt(info.times_seconds, frame_rate), Timeline(positions, rate)


def _clock(info: VideoInfo) -> Clock | None:
    """Return the clock that the file states; None if it states none, or not that of the frames that are there."""
    header, frames = info.header, len(info.times_seconds)
    if header is None:
        return None
    unit = float(header.unit)
    rate = float(np.float32(header.frame_rate))  # single precision in the original
    seconds = header.duration * unit
    if abs(rate * seconds - frames) > MISSTATED * frames:
        return None
    first = header.first_stamp if abs(header.first_stamp * unit) < LATE_SECONDS else 0
    return Clock(seconds, rate, 1 / unit, first + np.rint(info.times_seconds / unit).astype(np.int64))


def exact_rate(frames: int, duration_seconds: float) -> Fraction:
    """Return the frames per second before time stamps were rounded.

    This is a whole number, or one times 1000/1001, if that explains the duration; else it is the quotient.
    """
    rate = frames / duration_seconds
    nominal = [Fraction(round(rate)), round(rate / NTSC) * NTSC]
    errors = {abs(float(frames / likely) - duration_seconds): likely for likely in nominal if likely > 0}
    if errors and min(errors) <= STAMP_SECONDS:
        return errors[min(errors)]
    return Fraction(rate).limit_denominator(1001) or Fraction(rate)


def nearest_frames(times_seconds: Times, wanted_seconds: NDArray[np.float64]) -> Numbers:
    """Return the number of the frame nearest to each wanted time; of two equally near ones, the earlier.

    Args:
        times_seconds: (frames,) ascending.
        wanted_seconds: Times, of any shape.
    """
    later = np.clip(np.searchsorted(times_seconds, wanted_seconds), 1, max(len(times_seconds) - 1, 1))
    earlier = later - 1
    if len(times_seconds) == 1:
        return np.zeros_like(earlier)
    to_later = times_seconds[later] - wanted_seconds
    to_earlier = wanted_seconds - times_seconds[earlier]
    return np.where(to_later < to_earlier - SAME_SECONDS, later, earlier)
