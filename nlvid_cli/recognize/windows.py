"""Windows of a long video: clips as the model sees them, one every so many seconds.

A window is the shortest stretch of the video that holds a clip, and its frames are those of the one clip that the
card's sampling makes of this stretch. So ``classify`` says the same of it::

    every      |.......|.......|.......|.......|...       half a clip by default
    windows    [===============]
                       [===============]
                               [===============]
                                    [===============]     the rest gets a window that ends with the video

A video, or a part of one, that is shorter than a clip is one window; its frames are used as the card's rule for short
videos says.

Frames flow through a ring: each is decoded once, and kept for as long as a later window needs it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.clip_rules import Timeline, clip_span
from nlvid_cli.video.clips import ClipTable
from nlvid_cli.video.info import Numbers, Pixels, VideoFacts, VideoInfo
from nlvid_cli.video.probe import probe_segment
from nlvid_cli.video.sample import SAME_SECONDS, sample, timeline_of
from nlvid_cli.video.segment import Segment, Stretch
from nlvid_cli.video.stream import BrokenPromiseError, FrameStream
from nlvid_cli.video.trim import trim

if TYPE_CHECKING:
    from nlvid_cli.card.card import Preprocess, Sampling

WINDOWS_PER_PART = 8
"""Windows that leave the decoder together; a few, so that the network soon has work, and memory stays small."""

PART_BYTES = 32 << 20
"""Size of the frames at which they leave the decoder, even if there are fewer windows."""

PART_SECONDS = 5.0
"""Time after which the decoder shows that it is at work, even if no window is ready."""

TARGET_RATE = 30
"""Frames per second in which the rules of PySlowFast and PyTorchVideo count a clip's length."""

ENDS_EARLY = "it ends early: its pictures end at {:.2f} s of {:.2f} s, and nothing is known about the rest"

REPLACED = "its frames are not those that its packets promise: times before {:.2f} s may be off by some frames"


@dataclass(frozen=True)
class Windows:
    """Asks for windows instead of the card's clips.

    Attributes:
        every_seconds: Distance between the starts of two windows; None: half a clip.
        threads: Number of decoding threads for each video.
    """

    every_seconds: float | None = None
    threads: int = 1


@dataclass(frozen=True, eq=False)
class Window:
    """A window, in frames of the whole video.

    Attributes:
        first: Number of its first frame.
        stop: Number of the first frame after it.
        start_seconds: Time at which its first frame is shown, from the first frame of the video.
        end_seconds: Time at which its last frame ends.
        frame_numbers: (T,) frames that the model sees.
        warnings: Remarks of the sampling.
    """

    first: int
    stop: int
    start_seconds: float
    end_seconds: float
    frame_numbers: Numbers
    warnings: tuple[str, ...]


def clip_seconds(sampling: Sampling, facts: VideoFacts) -> float:
    """Length of a clip: frames x step, at the rate at which the card counts them."""
    rate: float = sampling.frame_rate or facts.frame_rate
    if sampling.clip_starts in ("scaled_windows", "timed_windows"):
        rate = TARGET_RATE
    return sampling.frames * sampling.step / rate


def default_every(sampling: Sampling, facts: VideoFacts) -> float:
    """Half a clip, in whole steps, so that windows share all their frames where they overlap."""
    return clip_seconds(sampling, facts) * max(1, sampling.frames // 2) / sampling.frames


class WindowPlan:
    """The windows of a video, in order of time; they are computed whenever it is iterated.

    Args:
        info: The video.
        stretch: Part of it to look at; None: all of it.
        sampling: The card's sampling, with one clip.
        every_seconds: Distance between the starts of two windows; None: see :func:`default_every`.

    Raises:
        UnreadableVideo: No frame of the video lies in the stretch.
    """

    def __init__(
        self, info: VideoInfo, stretch: Stretch | None, sampling: Sampling, every_seconds: float | None
    ) -> None:
        part, self._first = trim(info, stretch)
        self._stop = self._first + len(part.times_seconds)
        self._info = info
        self._sampling = sampling
        self._every = every_seconds or default_every(sampling, info.facts)
        self._ends = np.append(info.times_seconds, info.facts.duration_seconds)  # the end of frame n is at n + 1
        self._clip_seconds = clip_seconds(sampling, info.facts)

    def __iter__(self) -> Iterator[Window]:
        """Yield the windows."""
        last: tuple[int, int] | None = None
        for first in self._starts():
            stop = self._stop_of(first)
            if stop is None:
                break
            last = first, stop
            yield self._window(first, stop)
        if last is None or last[1] < self._stop:
            first = self._last_first()
            if last is None or first > last[0]:
                yield self._window(first, self._stop)

    def around(self, seconds: float) -> Window:
        """Return the window in whose middle a time is, or nearly so at the ends of the video.

        Args:
            seconds: From the first frame of the video.
        """
        wanted = seconds - self._clip_seconds / 2
        first = int(np.clip(np.searchsorted(self._ends, wanted - SAME_SECONDS), self._first, self._stop - 1))
        stop = self._stop_of(first)
        if stop is None:
            first, stop = self._last_first(), self._stop
        return self._window(first, stop)

    def wanted(self) -> Numbers:
        """Return the numbers of all frames that a window needs, ascending."""
        wanted = np.zeros(len(self._info.times_seconds), bool)
        for window in self:
            wanted[window.frame_numbers] = True
        return np.flatnonzero(wanted)

    def _starts(self) -> list[int]:
        """First frames at or after the starts of all windows. Over a pause of the video there is one."""
        times = self._info.times_seconds[self._first : self._stop] - self._info.times_seconds[self._first]
        begun = np.floor((times + SAME_SECONDS) / self._every)
        starts: list[int] = (np.flatnonzero(np.diff(begun, prepend=-1.0)) + self._first).tolist()
        return starts

    def _stop_of(self, first: int) -> int | None:
        """Return where the shortest stretch ends that begins with this frame and holds a clip; None if none does."""
        wanted = self._info.times_seconds[first] + self._clip_seconds
        stop = int(np.clip(np.searchsorted(self._ends, wanted), first + 1, self._stop))
        while not self._holds_clip(first, stop):
            if stop == self._stop:
                return None
            stop += 1
        while stop - 1 > first and self._holds_clip(first, stop - 1):
            stop -= 1
        return stop

    def _last_first(self) -> int:
        """Return where the shortest stretch begins that ends with the video and holds a clip, or all of it."""
        wanted = self._ends[self._stop] - self._clip_seconds
        first = int(np.clip(np.searchsorted(self._ends, wanted), self._first, self._stop - 1))
        while first > self._first and not self._holds_clip(first, self._stop):
            first -= 1
        while first + 1 < self._stop and self._holds_clip(first + 1, self._stop):
            first += 1
        return first

    def _holds_clip(self, first: int, stop: int) -> bool:
        part, _ = trim(self._info, Stretch(start_frame=first, end_frame=stop))
        _, timeline = timeline_of(part, self._sampling.frame_rate)
        return timeline.positions >= window_span(timeline, self._sampling)

    def _window(self, first: int, stop: int) -> Window:
        part, _ = trim(self._info, Stretch(start_frame=first, end_frame=stop))
        plan = sample(part, self._sampling)
        start, end = float(self._ends[first]), float(self._ends[stop])
        return Window(first, stop, start, end, plan.frame_numbers[0] + first, plan.warnings)


def window_span(timeline: Timeline, sampling: Sampling) -> int:
    """Return the positions that a window needs so that no frame of its clip is beyond it."""
    if sampling.clip_starts == "centred_segments":  # a clip reaches back from its centre by half of frames x step
        return sampling.frames * sampling.step
    return clip_span(timeline, sampling)


def decode_windows(
    segment: Segment,
    sampling: Sampling,
    rules: Preprocess,
    windows: Windows,
) -> Iterator[tuple[Pixels, ClipTable]]:
    """Decode the windows of a video, part by part.

    Args:
        segment: Video to decode, or part of one.
        sampling: The card's sampling, with one clip.
        rules: The card's preprocessing.
        windows: Distance of the windows, and number of threads.

    Yields:
        The different frames of some windows, (frames, H, W, 3) as in ``decode_clips``, and where the windows are. A
        part without windows only shows that the decoder is at work. The last part has no windows, and all warnings.

    Raises:
        VideoError: The video cannot be used.
        InputShapeError: Its frames are smaller than the crop.
    """
    info = probe_segment(segment, promised=True)
    begun_before = -1.0
    warnings: tuple[str, ...] = ()
    while True:
        try:
            plan = WindowPlan(info, segment.stretch, sampling, windows.every_seconds)
        except UnreadableVideo:
            if info.recount is None:
                raise
            info = probe_segment(segment)  # perhaps the video is longer than its packets promise
            continue
        maker = _PartMaker(info, plan, rules, windows.threads, begun_before)
        try:
            yield from maker.parts()
        except BrokenPromiseError as broken:
            info, begun_before = broken.info, maker.begun_before
            if begun_before >= 0:
                warnings = (REPLACED.format(maker.end_seconds),)
            continue
        if maker.begun_before < 0:
            raise UnreadableVideo("no frame of this part can be decoded (the file is cut off before it)")
        yield maker.last_part(warnings)
        return


class _PartMaker:
    """Makes parts of the windows that start after ``begun_before`` seconds."""

    def __init__(self, info: VideoInfo, plan: WindowPlan, rules: Preprocess, threads: int, begun_before: float) -> None:
        self.begun_before = begun_before
        self.end_seconds = 0.0
        self._facts = info.facts
        self._plan = plan
        self._stream = FrameStream(info, plan.wanted(), rules, threads)
        self._remarks: dict[str, None] = {}  # a set that keeps the order

    def parts(self) -> Iterator[tuple[Pixels, ClipTable]]:
        """Yield parts with windows, and empty ones as signs of life."""
        ring: dict[int, Pixels] = {}
        frames = iter(self._stream)
        part = _Part(self._facts)
        for window in self._plan:
            if window.start_seconds <= self.begun_before + SAME_SECONDS:
                continue
            for number in [number for number in ring if number < window.first]:
                del ring[number]
            while not ring.keys() >= set(window.frame_numbers.tolist()):
                number, picture = next(frames)
                if picture is not None and number >= window.first:
                    ring[number] = picture
                if part.is_late():
                    yield part.table()
                    part = _Part(self._facts)
            if self._stream.ended_at is not None and window.first > self._stream.ended_at:
                break
            part.add(window, ring)
            self._remarks.update(dict.fromkeys(window.warnings))
            self.begun_before, self.end_seconds = window.start_seconds, window.end_seconds
            if part.is_full():
                yield part.table()
                part = _Part(self._facts)
        yield part.table()
        ring.clear()
        for _ in frames:  # what remains is only counted
            if part.is_late():
                part = _Part(self._facts)
                yield part.table()

    def last_part(self, more_warnings: tuple[str, ...]) -> tuple[Pixels, ClipTable]:
        """Return the end of the video, with all warnings."""
        info = self._stream.info
        warnings = info.warnings + tuple(self._remarks) + self._stream.warnings() + more_warnings
        ended_at, times = self._stream.ended_at, info.times_seconds
        if ended_at is not None and ended_at + 1 < len(times):
            warnings += (ENDS_EARLY.format(times[ended_at + 1], info.facts.duration_seconds),)
        return np.empty(0, np.uint8), ClipTable(info.facts, (), (), (), warnings)


class _Part:
    """Windows that leave the decoder together."""

    def __init__(self, facts: VideoFacts) -> None:
        self._facts = facts
        self._windows: list[Window] = []
        self._frames: dict[int, Pixels] = {}
        self._size_bytes = 0
        self._began = time.monotonic()

    def add(self, window: Window, ring: dict[int, Pixels]) -> None:
        """Add a window whose frames are in the ring."""
        self._windows.append(window)
        for number in window.frame_numbers.tolist():
            if number not in self._frames:
                self._frames[number] = ring[number]
                self._size_bytes += ring[number].nbytes

    def is_full(self) -> bool:
        """Whether it is time to leave."""
        return len(self._windows) >= WINDOWS_PER_PART or self._size_bytes >= PART_BYTES or self.is_late()

    def is_late(self) -> bool:
        """Whether this part has been made for a long time."""
        return time.monotonic() - self._began > PART_SECONDS

    def table(self) -> tuple[Pixels, ClipTable]:
        """Return the frames, and where the windows are."""
        places = {number: place for place, number in enumerate(self._frames)}
        frames = np.stack(list(self._frames.values())) if self._frames else np.empty(0, np.uint8)
        table = ClipTable(
            self._facts,
            tuple(window.start_seconds for window in self._windows),
            tuple(window.end_seconds for window in self._windows),
            tuple(range(len(self._windows))),
            (),
            tuple(tuple(places[number] for number in window.frame_numbers.tolist()) for window in self._windows),
            last=False,
        )
        return frames, table
