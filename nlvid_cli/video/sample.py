"""Which frames are looked at: arithmetic only, no video needed.

Rules of published test protocols work on *positions*, equal steps in time. Where a card counts in the video's own
frames and these are evenly spaced, positions are the frames. Otherwise positions lie on an even grid in time, and each
stands for the frame nearest to it::

    frames      |  |  |        |  |  |        of uneven distance
    positions   |    |    |    |    |         every 1 / rate seconds
    frame       0    1    2    3?   4         nearest by time stamp, the earlier one of two equally near
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.video.info import Numbers, Times, VideoInfo

if TYPE_CHECKING:
    from nlvid_cli.checkpoints.card import Sampling


@dataclass(frozen=True, eq=False)
class FramePlan:
    """Frames of each clip, and when they are shown.

    Attributes:
        frame_numbers: (clips, frames) int64, in [0, number of frames).
        start_seconds: (clips,) when the earliest frame of the clip is shown.
        end_seconds: (clips,) when its latest frame ends.
        warnings: what the user should know about the choice, in sentences.
    """

    frame_numbers: Numbers
    start_seconds: tuple[float, ...]
    end_seconds: tuple[float, ...]
    warnings: tuple[str, ...] = ()


def ends(positions: int, span: int, clips: int) -> Numbers:
    """First clip at the start, last clip at the end, the others evenly between; a single clip in the centre.

    ::

        positions  0 . . . . . . . . . . . . . 14      15 positions, span 7, 3 clips
        clip 0     ^-----------^                       start round(0 * 8 / 2) = 0
        clip 1             ^-----------^               start round(1 * 8 / 2) = 4
        clip 2                     ^-----------^       start round(2 * 8 / 2) = 8

    Halves are rounded to even, as numpy does. A video shorter than the span has all its clips at 0.

    Args:
        positions: length of the video.
        span: positions from the first frame of a clip to its last, both included: (frames - 1) * step + 1.
        clips: number of clips.

    Returns:
        (clips,) int64 positions of the clips' first frames.
    """
    free = max(positions - span, 0)
    if clips == 1:
        return np.array([np.round(free / 2)]).astype(np.int64)
    return np.round(np.arange(clips) * free / (clips - 1)).astype(np.int64)


def loop(indices: Numbers, positions: int) -> Numbers:
    """Start again at the first position after the last one."""
    return indices % positions


SAME_SECONDS = 1e-6
"""Differences in time below this are rounding, and no reason to prefer a frame."""

CLIP_STARTS: dict[str, Callable[[int, int, int], Numbers]] = {"ends": ends}
"""(positions, span, clips) -> (clips,) positions at which clips start."""

SHORT_VIDEO: dict[str, Callable[[Numbers, int], Numbers]] = {"loop": loop}
"""(indices, positions) -> the same indices, brought into [0, positions) where the video is shorter than a clip."""


def sample(info: VideoInfo, sampling: Sampling) -> FramePlan:
    """Choose the frames of all clips.

    Args:
        info: of which only the times, the duration, the frame rate and its constancy matter.
        sampling: the card's rules.
    """
    to_frame = _timeline(info, sampling.frame_rate)
    span = (sampling.frames - 1) * sampling.step + 1
    starts = CLIP_STARTS[sampling.clip_starts](len(to_frame), span, sampling.clips)
    indices = starts[:, None] + sampling.step * np.arange(sampling.frames)  # (clips, frames)
    indices = SHORT_VIDEO[sampling.short_video](indices, len(to_frame))
    frame_numbers = to_frame[indices]
    frame_ends = np.append(info.times_seconds[1:], info.duration_seconds)
    return FramePlan(
        frame_numbers,
        tuple(info.times_seconds[frame_numbers.min(axis=1)].tolist()),
        tuple(frame_ends[frame_numbers.max(axis=1)].tolist()),
        _warnings(len(to_frame), span),
    )


def _warnings(positions: int, span: int) -> tuple[str, ...]:
    if positions >= span:
        return ()
    return (f"the video is shorter than one clip ({positions} of {span} frames): its frames are repeated",)


def _timeline(info: VideoInfo, frame_rate: float | None) -> Numbers:
    """Frame number at each position."""
    if frame_rate is None:
        if not info.variable_frame_rate:
            return np.arange(len(info.times_seconds))
        frame_rate = info.frame_rate
    positions = max(1, round(info.duration_seconds * frame_rate))
    return nearest_frames(info.times_seconds, np.arange(positions) / frame_rate)


def nearest_frames(times_seconds: Times, wanted_seconds: NDArray[np.float64]) -> Numbers:
    """Number of the frame that is shown nearest to each wanted time; of two equally near ones the earlier.

    Args:
        times_seconds: (frames,) ascending.
        wanted_seconds: any shape.
    """
    later = np.clip(np.searchsorted(times_seconds, wanted_seconds), 1, max(len(times_seconds) - 1, 1))
    earlier = later - 1
    if len(times_seconds) == 1:
        return np.zeros_like(earlier)
    to_later = times_seconds[later] - wanted_seconds
    to_earlier = wanted_seconds - times_seconds[earlier]
    return np.where(to_later < to_earlier - SAME_SECONDS, later, earlier)
