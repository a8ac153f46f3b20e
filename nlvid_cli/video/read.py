"""Read exactly the wanted frames, each decoded once.

Frames are grouped by the key frame that they depend on. Each group takes one seek, and a few decoders work on the seeks
side by side. ::

    frames   0 1 2 3 4 5 6 7 8 9 ...        K: key frame, w: wanted
             K . . . . w . w . . K . . . . . . . . . K . w .
             |----seek 1----|        skipped         |---|  seek 2

If anything differs from what the time stamps promised (a picture that is not in the table, a missing one, a key frame
that is none, a decoding error, a broken reference), seeking is not reliable in this file. Then everything is decoded
again from the start, which gives the pictures that a player shows, errors included. So is a video whose frames only
decoding can count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.container import open_video
from nlvid_cli.video.decode import Seek, SeekingFailedError, decode_after, use_threads
from nlvid_cli.video.from_start import FromStart
from nlvid_cli.video.info import Numbers, Pixels, VideoInfo
from nlvid_cli.video.oddities import Oddities, damage_warnings
from nlvid_cli.video.picture import SIZES, PictureMaker, pixel_type
from nlvid_cli.video.picture_folder import decode_picture, nearest_frame
from nlvid_cli.video.refusals import check_frame_shape

MIN_SEEK_FRAMES = 16
"""Frames that a seek must save; for fewer, decoding on is as fast."""

PIXELS_PER_THREAD = 1 << 24
"""Pixels to decode that make another thread worth its start, about 0.1 s of decoding and resizing."""

MAX_DECODERS = 8
"""Largest number of decoders: each of them holds some pictures of full size."""


@dataclass(frozen=True, eq=False)
class FramesRead:
    """Frames of clips.

    Attributes:
        frames: (clips, frames, height, width, 3) RGB, upright; uint8, or float32 in [0, 255] by ``float_bilinear``.
        warnings: Oddities of the file, in sentences.
        stamps: Time stamps of all pictures of the video, for ``info.recount``; None if not all of it was decoded.
    """

    frames: Pixels
    warnings: tuple[str, ...] = ()
    stamps: list[int | None] | None = None


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
        info: The video, from :func:`nlvid_cli.video.probe.probe`.
        frame_numbers: (clips, frames) int64, in [0, number of frames); repetitions are fine.
        short_side: Shorter side of the result, in pixels; None keeps the size.
        resize: Interpolation, a name of :data:`nlvid_cli.video.picture.RESIZE`.
        size: Rule for the longer side, a name of :data:`nlvid_cli.video.picture.SIZES`.
        threads: Number of decoding threads; None uses all processors of this process.

    Returns:
        Frames of one size, that of the first frame, even if the size changes within the stream. A frame that does not
        decode is replaced by the nearest earlier one that does (at the start, the nearest later one), with a warning.

    Raises:
        IndexError: A number is outside the video.
        FrameTooLarge: The frames are too narrow to resize.
        UnreadableVideo: No frame decodes.
        VideoError: The file changed since it was probed.
    """
    if frame_numbers.size == 0 or frame_numbers.min() < 0 or frame_numbers.max() >= len(info.times_seconds):
        raise IndexError(f"there must be frame numbers, in [0, {len(info.times_seconds)})")
    width, height = new_size(info, short_side, size)
    pictures = np.empty((frame_numbers.size, height, width, 3), pixel_type(resize))
    sink = _Sink(info, frame_numbers, pictures, resize)
    warnings, stamps = _read(sink, threads or usable_processors())
    frames = sink.pictures.reshape(*frame_numbers.shape, *sink.pictures.shape[1:])
    return FramesRead(frames, warnings + sink.oddities.warnings(), stamps)


def new_size(info: VideoInfo, short_side: int | None, size: str) -> tuple[int, int]:
    """Return the width and height to which the frames of a video are resized; see :func:`read_frames`.

    Raises:
        FrameTooLarge: The frames are too narrow to resize.
    """
    width, height = info.facts.width, info.facts.height
    if short_side is None:
        return width, height
    check_frame_shape(width, height)
    return SIZES[size](width, height, short_side)


def _read(sink: _Sink, threads: int) -> tuple[tuple[str, ...], list[int | None] | None]:
    """Fill the sink in the quickest way that is exact; return warnings, and the stamps of all pictures if decoded."""
    if sink.info.pictures:
        return _read_pictures(sink, threads), None
    try:
        if sink.info.pts is not None:
            _read_seeks(sink, threads)
            return (), None
    except SeekingFailedError as error:
        threads = 1 if error.damaged else threads
    threads = useful_threads(sink.info, len(sink.info.times_seconds), threads)
    if threads > 1:
        with suppress(SeekingFailedError):
            return _read_from_start(sink, threads)
    return _read_from_start(sink, 1)


class _Sink:
    """Collects pictures, (clips * frames, height, width, 3): each goes to all places that want its number."""

    def __init__(self, info: VideoInfo, frame_numbers: Numbers, pictures: Pixels, rule: str) -> None:
        self.info = info
        self.pictures = pictures
        self._rule = rule
        self._places: dict[int, list[int]] = {}
        for place, number in enumerate(frame_numbers.ravel().tolist()):
            self._places.setdefault(number, []).append(place)
        self.oddities = Oddities(info)
        self.wanted = sorted(self._places)

    def maker(self) -> PictureMaker:
        """Return a converter for one thread."""
        return PictureMaker(self.info.orientation, self._rule)

    def put(self, maker: PictureMaker, number: int, frame: VideoFrame) -> None:
        """Convert a decoded frame and store it as frame ``number``."""
        first, *others = self._places[number]
        self.oddities.note(frame)
        maker.make(frame, self.pictures[first])
        self.pictures[others] = self.pictures[first]


def _read_seeks(sink: _Sink, threads: int) -> None:
    seeks = deque(sorted(plan_seeks(sink.wanted, sink.info.key_frames.tolist()), key=_by_length))
    threads = useful_threads(sink.info, sum(seek.wanted[-1] - (seek.start or 0) + 1 for seek in seeks), threads)
    decoders = max(1, min(threads, len(seeks), MAX_DECODERS))
    with ThreadPoolExecutor(decoders) as pool:
        jobs = [pool.submit(_read_some, sink, seeks, threads // decoders) for _ in range(decoders)]
        try:
            for job in jobs:
                job.result()
        finally:
            seeks.clear()  # after Ctrl-C, begin no more


def useful_threads(info: VideoInfo, frames: int, threads: int) -> int:
    """Return the number of threads, at most ``threads``, that so many frames keep busy."""
    return max(1, min(threads, frames * info.facts.width * info.facts.height // PIXELS_PER_THREAD))


def plan_seeks(wanted: Sequence[int], key_frames: Sequence[int]) -> list[Seek]:
    """Group wanted frames (ascending) by key frame; join groups where a seek between them would save little."""
    seeks: list[Seek] = []
    places = np.searchsorted(np.asarray(key_frames, np.int64), wanted, side="right") - 1
    for number, place in zip(wanted, places.tolist(), strict=True):
        start = key_frames[place] if place >= 0 else None
        if seeks and (start is None or start - seeks[-1].wanted[-1] <= MIN_SEEK_FRAMES):
            seeks[-1].wanted.append(number)
        else:
            seeks.append(Seek(start, [number]))
    return seeks


def _by_length(seek: Seek) -> tuple[bool, int]:
    """Sort key: the start of the file first, before a decoder has moved; then the longest, so that all end together."""
    return seek.start is not None, (seek.start or 0) - seek.wanted[-1]


def _read_some(sink: _Sink, seeks: deque[Seek], threads: int) -> None:
    """Take seeks from the common queue until it is empty, with a decoder of this thread."""
    maker = sink.maker()
    with open_video(sink.info.path) as (container, stream):
        use_threads(stream, threads)
        while seeks:
            try:
                seek = seeks.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                for number, frame in decode_after(seek, container, stream, sink.info):
                    sink.put(maker, number, frame)
            except SeekingFailedError:
                seeks.clear()  # the other threads need not go on
                raise


def _read_from_start(sink: _Sink, threads: int) -> tuple[tuple[str, ...], list[int | None] | None]:
    """Decode everything up to the last wanted frame, or all that is to be counted; return warnings and stamps."""
    maker = sink.maker()
    source = FromStart(sink.info, sink.wanted, threads)
    for number, frame in source:
        if frame is not None:
            sink.put(maker, number, frame)
    warnings = damage_warnings(source.damaged, source.stand_ins, len(sink.wanted))
    return warnings, source.stamps if sink.info.recount else None


def _read_pictures(sink: _Sink, threads: int) -> tuple[str, ...]:
    """Read the pictures of a folder, side by side; return warnings."""
    folder, names = Path(str(sink.info.path)), sink.info.pictures
    broken: set[int] = set()

    def read(wanted: Sequence[int]) -> int:
        maker, stand_ins = sink.maker(), 0
        for number in wanted:
            frame = decode_picture(folder / names[number])
            if frame is None:
                frame, stand_ins = nearest_frame(folder, names, number, broken), stand_ins + 1
            sink.put(maker, number, frame)
        return stand_ins

    threads = useful_threads(sink.info, len(sink.wanted), min(threads, MAX_DECODERS))
    with ThreadPoolExecutor(threads) as pool:
        stand_ins = sum(pool.map(read, (sink.wanted[start::threads] for start in range(threads))))
    return damage_warnings(0, stand_ins, len(sink.wanted))
