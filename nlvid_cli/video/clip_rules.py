"""Choose the clips of a video: the rules of the published test protocols, one function each.

A rule takes a :class:`Timeline` and returns the *positions* (see :mod:`nlvid_cli.video.sample`) of all frames of all
clips, (clips, frames) int64. In a video that is shorter than a clip they may be beyond its end; the card's rule for
short videos moves them back.

A single clip is in the centre of the places that a rule chooses from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from nlvid_cli.video.info import Numbers

if TYPE_CHECKING:
    from nlvid_cli.card.card import Sampling

TARGET_RATE = 30
"""Frames per second in which PySlowFast and PyTorchVideo count a clip's step, whatever the rate of the video."""


SAME_INSTANT_SECONDS = 1e-4
"""Time after the end of a window at which a frame still belongs to it: the decoder of PySlowFast adds it."""


@dataclass(frozen=True, eq=False)
class Clock:
    """Time stamps of a video's frames, and its length as the file states it: PySlowFast cuts by these.

    Attributes:
        seconds: Duration.
        rate: Frames per second.
        stamps_per_second: Number of time stamps in a second.
        stamps: (positions,) int64, ascending: time stamp of each position, which is a frame.
    """

    seconds: float
    rate: float
    stamps_per_second: float
    stamps: Numbers


@dataclass(frozen=True)
class Timeline:
    """Equal steps in time, at position / rate seconds.

    Attributes:
        positions: Number of positions, at least 1.
        rate: Positions per second; exact, because whether a clip starts at 7.8666... or slightly later decides which
            frames it gets.
        clock: Time stamps of the positions; None if positions are not frames, or the file does not state its length.
    """

    positions: int
    rate: Fraction
    clock: Clock | None = None

    @property
    def duration_seconds(self) -> Fraction:
        """Time from the first position to the end of the last one."""
        return self.positions / self.rate


def ends(timeline: Timeline, sampling: Sampling) -> Numbers:
    """First clip at the start, last clip at the end, the others evenly between (MMAction2, "uniform").

    ::

        positions  0 . . . . . . . . . . . . . 14      15 positions, 3 clips of 4 frames with step 2
        clip 0     ^---^---^---^                       start round(0 * 8 / 2) = 0
        clip 1             ^---^---^---^               start round(1 * 8 / 2) = 4
        clip 2                     ^---^---^---^       start round(2 * 8 / 2) = 8

    Halves are rounded to even, as in numpy, but the start of a single clip is rounded down. All clips of a video that
    is shorter than a clip are at 0.
    """
    free = max(timeline.positions - _reach(sampling), 0)
    if sampling.clips == 1:
        return _steps_from(np.array([free // 2]), sampling)
    return _steps_from(np.round(np.arange(sampling.clips) * (free / (sampling.clips - 1))), sampling)


def ends_truncated(timeline: Timeline, sampling: Sampling) -> Numbers:
    """As :func:`ends`, but a clip takes up frames x step positions, and starts are rounded down (MMAction2, "dense").

    ::

        positions  0 . . . . . . . . . . . . . 14      15 positions, 3 clips of 4 frames with step 2
        clip 0     ^---^---^---^--                     start floor(0 * 7 / 2) = 0
        clip 1           ^---^---^---^--               start floor(1 * 7 / 2) = 3
        clip 2                   ^---^---^---^--       start floor(2 * 7 / 2) = 7
    """
    free = max(timeline.positions - sampling.frames * sampling.step, 0)
    if sampling.clips == 1:
        return _steps_from(np.array([free // 2]), sampling)
    return _steps_from(np.linspace(0, free, sampling.clips, dtype=np.int64), sampling)


def ends_strided(timeline: Timeline, sampling: Sampling) -> Numbers:
    """Clips are runs of a list of every step-th frame of the whole video (GluonCV).

    ::

        positions  0 . . . . . . . . . . 11            12 positions, 3 clips of 3 frames with step 2
        list       0   1   2   3   4   5               n = 6
        clip 0     ^   ^   ^                           start int(0 * (6 - 3) / 2) = 0
        clip 1         ^   ^   ^                       start int(1 * (6 - 3) / 2) = 1
        clip 2                 ^   ^   ^               start int(2 * (6 - 3) / 2) = 3

    So all clips start at multiples of the step. A list that is shorter than a clip has its last entry repeated.
    """
    listed = ceil(timeline.positions / sampling.step)
    free = max(listed - sampling.frames, 0)
    starts = np.array([free // 2])
    if sampling.clips > 1:
        starts = (np.arange(sampling.clips) * (free / (sampling.clips - 1))).astype(np.int64)
    places: Numbers = starts[:, None] + np.arange(sampling.frames)  # (clips, frames)
    return sampling.step * np.minimum(places, listed - 1)


def wrapped(timeline: Timeline, sampling: Sampling) -> Numbers:
    """Clips start at equal distances, and wrap around from the end to the start (FAIR, video-nonlocal-net).

    ::

        positions  0 . . . . . . . . 9                 10 positions, 2 clips of 4 frames with step 2
        clip 0     ^---^---^---^                       start int(0 * 10 / 2) = 0
        clip 1     --^       ^---^---^                 start int(1 * 10 / 2) = 5: frames 5, 7, 9, 1

    The start is computed in single precision, as in the original.
    """
    if sampling.clips == 1:
        return (
            _steps_from(np.array([max(timeline.positions - _reach(sampling), 0) // 2]), sampling) % timeline.positions
        )
    gap = np.float32(timeline.positions) / np.float32(sampling.clips)
    starts = (gap * np.arange(sampling.clips, dtype=np.float32)).astype(np.int64)
    return _steps_from(starts, sampling) % timeline.positions


def scaled_windows(timeline: Timeline, sampling: Sampling) -> Numbers:
    """Clips last frames x step thirtieths of a second, with their frames spread over that time (PySlowFast).

    ::

        positions  0 . . . . . . . . . . . . . . . 16    17 positions at 60 per second, 2 clips of 4 frames with step 1
        clip 1              [             ]              a window of 4 * 60 / 30 = 8 from (17 - 8) * 1 / 2 = 4.5 to 11.5
        cut out              ^   ^   ^   ^               5 + linspace(0, 7, 4) = 5, 7.33, 9.67, 12, but not after 11
        counted             ^   ^     ^   ^              linspace(4.5, 11.5, 4) = 4.5, 6.83, 9.17, 11.5, rounded down

    Start k of n is k / n of the way, so that no clip is at the end. The frames of a window are cut out by their time
    stamps, and counted from the first of them. If the video is not longer than a clip, or the file does not state how
    long it is, or no frame is in the window, the original decodes the whole video and counts from its start.
    """
    places = [(1, 2)] if sampling.clips == 1 else [(k, sampling.clips) for k in range(sampling.clips)]
    clips = []
    for k, of in places:
        cut = _cut_out(timeline.clock, sampling, k, of) if timeline.clock else None
        clips.append(_counted(timeline, sampling, k, of) if cut is None else cut)
    return np.stack(clips)


def _cut_out(clock: Clock, sampling: Sampling, k: int, of: int) -> Numbers | None:
    """Return the frames of the window that starts ``k / of`` of the way, in the floating-point steps of the original.

    None if the original would decode the whole video.
    """
    length = clock.rate * clock.seconds
    if length <= sampling.frames * sampling.step:
        return None
    window = max(1.0, sampling.frames * sampling.step / TARGET_RATE * clock.rate)
    start = max(length - window, 0.0) * k / of
    per_frame = clock.stamps_per_second / clock.rate
    tolerance = int(SAME_INSTANT_SECONDS * clock.stamps_per_second)
    first = int(np.searchsorted(clock.stamps, int(start * per_frame)))
    end = int(np.searchsorted(clock.stamps, int((start + window - 1) * per_frame) + tolerance, side="right"))
    if first >= end:
        return None
    return first + np.minimum(truncated_linspace(0, window - 1, sampling.frames), end - 1 - first)


def _counted(timeline: Timeline, sampling: Sampling, k: int, of: int) -> Numbers:
    window = max(Fraction(1), _window_seconds(sampling) * timeline.rate)
    start = max(timeline.positions - window, Fraction(0)) * k / of
    return truncated_linspace(start, start + window - 1, sampling.frames)


def timed_windows(timeline: Timeline, sampling: Sampling) -> Numbers:
    """Clips are windows of time, with their frames spread over the positions inside (PyTorchVideo).

    ::

        seconds    0        .        .        0.4      12 positions at 30 per second, 2 clips of 3 frames with step 2
        positions  0 . . . . . . . . . . 11
        clip 0     [           )                       3 * 2 / 30 = 0.2 s: positions 0 to 5
        clip 1                 [           )           start (0.4 - 0.2) * 1 / 1 s: positions 6 to 11
        frames                 ^   ^     ^             6 + linspace(0, 5, 3) = 6, 8.5, 11, rounded down

    A window includes its first moment and not its last. The frames of a shorter video are closer together.
    """
    window = _window_seconds(sampling)
    free = max(timeline.duration_seconds - window, Fraction(0))
    starts = [free / 2] if sampling.clips == 1 else [free * k / (sampling.clips - 1) for k in range(sampling.clips)]
    clips = []
    for start in starts:
        first = min(ceil(start * timeline.rate), timeline.positions - 1)
        inside = max(1, min(ceil((start + window) * timeline.rate), timeline.positions) - first)
        clips.append(first + truncated_linspace(0, inside - 1, sampling.frames))
    return np.stack(clips)


def centred_segments(timeline: Timeline, sampling: Sampling) -> Numbers:
    """One clip around the middle of each of as many equal segments (LFB, long-term feature banks).

    ::

        positions         0 . . . . . . . . 9          10 positions, 2 clips of 4 frames with step 2
        clip 0      ^---^---^---^--                    centre round(10 / 2 * 0.5) = 2 (half to even), from 2 - 4 = -2
        clip 1                ^---^---^---^--          centre round(10 / 2 * 1.5) = 8, from 8 - 4 = 4

    The first and the last clips may extend beyond the video, even a long one: the first and the last frame are held, so
    that clip 0 takes frames 0, 0, 2, 4.
    """
    centres = np.round(timeline.positions / sampling.clips * (np.arange(sampling.clips) + 0.5))
    clips = _steps_from(centres - sampling.frames * sampling.step // 2, sampling)
    return np.clip(clips, 0, timeline.positions - 1)


CLIP_STARTS: dict[str, Callable[[Timeline, Sampling], Numbers]] = {
    "ends": ends,
    "ends_truncated": ends_truncated,
    "ends_strided": ends_strided,
    "wrapped": wrapped,
    "scaled_windows": scaled_windows,
    "timed_windows": timed_windows,
    "centred_segments": centred_segments,
}
"""Name in a card -> (clips, frames) positions, before the rule for short videos."""


def clip_span(timeline: Timeline, sampling: Sampling) -> int:
    """Return the positions that a video needs to contain a clip as the protocol means it."""
    if sampling.clip_starts in ("scaled_windows", "timed_windows"):
        return max(1, floor(_window_seconds(sampling) * timeline.rate))
    return _reach(sampling)


def truncated_linspace(start: float | Fraction, stop: float | Fraction, count: int) -> Numbers:
    """Compute ``torch.linspace(start, stop, count).long()``, also where a fraction is close to a whole number.

    torch counts in single precision, up from ``start`` in the first half and down from ``stop`` in the second, and
    rounds once per value (a fused multiply-add, on every processor that has one).
    """
    first, last = np.float32(float(start)), np.float32(float(stop))
    if count == 1:
        return np.array([first]).astype(np.int64)
    step = np.float64((last - first) / np.float32(count - 1))
    place = np.arange(count)
    values = np.where(place < count // 2, first + step * place, last - step * (count - 1 - place))
    return values.astype(np.float32).astype(np.int64)


def _reach(sampling: Sampling) -> int:
    """Number of positions from the first frame of a clip to its last, both included."""
    return (sampling.frames - 1) * sampling.step + 1


def _window_seconds(sampling: Sampling) -> Fraction:
    return Fraction(sampling.frames * sampling.step, TARGET_RATE)


def _steps_from(starts: np.ndarray, sampling: Sampling) -> Numbers:
    """(clips,) whole numbers -> (clips, frames)."""
    return starts.astype(np.int64)[:, None] + sampling.step * np.arange(sampling.frames)
