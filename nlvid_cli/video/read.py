"""Exactly the frames that were asked for, each decoded once.

Frames are grouped by the key frame that they hang on. Each stretch is one seek and a run of decoding; stretches are
shared out among a few decoders that work side by side. ::

    frames   0 1 2 3 4 5 6 7 8 9 ...        K: key frame, w: wanted
             K . . . . w . w . . K . . . . . . . . . K . w .
             |---stretch 1--|        skipped         |---|  stretch 2

Whatever does not look as the time stamps promised (a picture that is not in the table, one that is missing, a decoding
error, a broken reference) means that seeking cannot be trusted in this file: all is decoded again from the start,
where the pictures are what a player shows, errors and all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.container import check_frame_shape, open_video
from nlvid_cli.video.decode import (
    SeekingFailedError,
    Stretch,
    decode_everything,
    decode_stretch,
    use_threads,
)
from nlvid_cli.video.info import Numbers, Pixels, VideoInfo
from nlvid_cli.video.picture import SIZES, PictureMaker, pixel_type

MIN_SEEK_FRAMES = 16
"""Frames that a seek must save; below, decoding on is as fast."""

MAX_DECODERS = 8
"""Decoders side by side at most: each holds some pictures of full size."""


@dataclass(frozen=True, eq=False)
class FramesRead:
    """Pictures of clips.

    Attributes:
        frames: (clips, frames, height, width, 3) RGB, upright; uint8, or float32 in [0, 255] by ``float_bilinear``.
        warnings: what was odd about the file, in sentences.
    """

    frames: Pixels
    warnings: tuple[str, ...] = ()


def read_frames(
    info: VideoInfo,
    frame_numbers: Numbers,
    short_side: int | None,
    resize: str = "swscale_bilinear",
    size: str = "half_up",
    threads: int | None = None,
) -> FramesRead:
    """Decode the frames with the given numbers.

    Frame n is the n-th picture that decoding everything from the start displays, bit for bit.

    Args:
        info: of the video, from :func:`nlvid_cli.video.probe.probe`.
        frame_numbers: (clips, frames) int64, in [0, number of frames); repetitions are fine.
        short_side: pixels of the shorter side of the result; None keeps the size.
        resize: how pixels are interpolated, a name of :data:`nlvid_cli.video.picture.RESIZE`.
        size: which size that makes, a name of :data:`nlvid_cli.video.picture.SIZES`.
        threads: to decode with; None takes all processors that this process may use.

    Returns:
        Pictures of one size, also where the size changes within the stream: that of its first frame. Where a frame
        does not decode, the nearest earlier one that does stands in (or the nearest later one, at the start), with a
        warning.

    Raises:
        IndexError: a number outside the video.
        FrameTooLarge: the frames are too narrow to be resized.
        UnreadableVideo: not one of the frames decodes.
        VideoError: the file changed since it was probed.
    """
    if frame_numbers.size == 0 or frame_numbers.min() < 0 or frame_numbers.max() >= len(info.times_seconds):
        raise IndexError(f"frame numbers must lie in [0, {len(info.times_seconds)}), and there must be some")
    width, height = info.facts.width, info.facts.height
    if short_side is not None:
        check_frame_shape(width, height)
        width, height = SIZES[size](width, height, short_side)
    pictures = np.empty((frame_numbers.size, height, width, 3), pixel_type(resize))
    sink = _Sink(info, frame_numbers, pictures, resize)
    warnings: tuple[str, ...] = ()
    try:
        _read_stretches(sink, threads or usable_processors())
    except SeekingFailedError:
        warnings = _read_from_start(sink)
    return FramesRead(sink.pictures.reshape(*frame_numbers.shape, *sink.pictures.shape[1:]), warnings)


class _Sink:
    """Where pictures go: (clips * frames, height, width, 3), each to all the places that want its number."""

    def __init__(self, info: VideoInfo, frame_numbers: Numbers, pictures: Pixels, rule: str) -> None:
        self.info = info
        self.pictures = pictures
        self._rule = rule
        self._places: dict[int, list[int]] = {}
        for place, number in enumerate(frame_numbers.ravel().tolist()):
            self._places.setdefault(number, []).append(place)
        self.wanted = sorted(self._places)

    def maker(self) -> PictureMaker:
        """A converter for one thread."""
        return PictureMaker(self.info.orientation, self._rule)

    def put(self, maker: PictureMaker, number: int, frame: VideoFrame) -> None:
        """Convert ``frame`` and store it as frame ``number``."""
        first, *others = self._places[number]
        maker.make(frame, self.pictures[first])
        self.pictures[others] = self.pictures[first]


def _read_stretches(sink: _Sink, threads: int) -> None:
    if sink.info.pts is None:
        raise SeekingFailedError
    stretches = deque(sorted(plan_stretches(sink.wanted, sink.info.key_frames.tolist()), key=_by_length))
    decoders = max(1, min(threads, len(stretches), MAX_DECODERS))
    with ThreadPoolExecutor(decoders) as pool:
        jobs = [pool.submit(_read_some, sink, stretches, threads // decoders) for _ in range(decoders)]
        try:
            for job in jobs:
                job.result()
        finally:
            stretches.clear()  # after Ctrl-C, what was not begun is left undone


def plan_stretches(wanted: Sequence[int], key_frames: Sequence[int]) -> list[Stretch]:
    """Wanted frames (ascending) by key frame; neighbours join where a seek between them would save next to nothing."""
    stretches: list[Stretch] = []
    places = np.searchsorted(np.asarray(key_frames, np.int64), wanted, side="right") - 1
    for number, place in zip(wanted, places.tolist(), strict=True):
        start = key_frames[place] if place >= 0 else None
        if stretches and (start is None or start - stretches[-1].wanted[-1] <= MIN_SEEK_FRAMES):
            stretches[-1].wanted.append(number)
        else:
            stretches.append(Stretch(start, [number]))
    return stretches


def _by_length(stretch: Stretch) -> tuple[bool, int]:
    """The file's start first, where no decoder has moved yet; then longest first, so that all end about together."""
    return stretch.start is not None, (stretch.start or 0) - stretch.wanted[-1]


def _read_some(sink: _Sink, stretches: deque[Stretch], threads: int) -> None:
    """Take stretches from the common queue until it is empty, with a decoder of one's own."""
    maker = sink.maker()
    with open_video(sink.info.path) as (container, stream):
        use_threads(stream, threads)
        while stretches:
            try:
                stretch = stretches.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                for number, frame in decode_stretch(container, stream, sink.info, stretch):
                    sink.put(maker, number, frame)
            except SeekingFailedError:
                stretches.clear()  # the others need not go on either
                raise


def _read_from_start(sink: _Sink) -> tuple[str, ...]:
    """Decode everything up to the last wanted frame; returns warnings."""
    maker = sink.maker()
    missing = deque(sink.wanted)
    previous: VideoFrame | None = None
    stand_ins = damaged = 0
    for shown in decode_everything(sink.info):
        damaged += shown.damaged
        while missing and missing[0] < shown.number:
            sink.put(maker, missing.popleft(), previous or shown.frame)
            stand_ins += 1
        if missing and missing[0] == shown.number:
            sink.put(maker, missing.popleft(), shown.frame)
        previous = shown.frame
        if not missing:
            break
    if previous is None:
        raise UnreadableVideo("no frame of it can be decoded (the file is damaged, or only its header arrived)")
    stand_ins += len(missing)
    for number in missing:
        sink.put(maker, number, previous)
    return _warnings(stand_ins, len(sink.wanted), damaged)


def _warnings(stand_ins: int, wanted: int, damaged: int) -> tuple[str, ...]:
    warnings = []
    if damaged:
        warnings.append("the video is damaged: some pictures do not decode, or not without faults")
    if stand_ins:
        warnings.append(
            f"{stand_ins} of the {wanted} frames looked at cannot be decoded; the nearest one that can stands in"
        )
    return tuple(warnings)
