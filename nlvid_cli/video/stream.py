"""Wanted frames of a video one after another, each decoded once, however long the video is.

Frames are decoded as :mod:`nlvid_cli.video.read` decodes them, bit for bit: after seeks where these are reliable, else
from the start. If a file turns out to be unreliable on the way, decoding begins again at the start, and frames that
were returned already are passed over.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.video.frame import VideoFrame

from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.container import open_video
from nlvid_cli.video.decode import SeekingFailedError, decode_after, use_threads
from nlvid_cli.video.frame_table import MOST_REORDERED
from nlvid_cli.video.from_start import FromStart
from nlvid_cli.video.info import Numbers, Pixels, Times, VideoInfo
from nlvid_cli.video.oddities import Oddities, damage_warnings
from nlvid_cli.video.picture import PictureMaker, pixel_type
from nlvid_cli.video.picture_folder import decode_picture, nearest_frame
from nlvid_cli.video.preprocess import crop_to_view
from nlvid_cli.video.read import new_size, plan_seeks, useful_threads

if TYPE_CHECKING:
    from nlvid_cli.card.card import Preprocess

SAME_STAMP_SECONDS = 1e-6
"""Difference in time that is only rounding."""


class BrokenPromiseError(Exception):
    """The frames of a video are not those that its packets promise.

    Attributes:
        info: The video as decoding found it.
    """

    def __init__(self, info: VideoInfo) -> None:
        super().__init__()
        self.info = info


class PictureStream:
    """Wanted frames of a video as they are decoded, in their order; it can be iterated once.

    A frame that does not decode is replaced by the nearest earlier one that does (at the start, the nearest later one).

    Args:
        info: The video, from :func:`nlvid_cli.video.probe.probe`.
        wanted: Numbers of frames, ascending and different.
        threads: Number of decoding threads; None uses all processors of this process.

    Attributes:
        info: The video; once its frames were counted on the way, as they were counted.
        ended_at: Number of the last picture, if the video has fewer pictures than its time stamps say; else None.
            Frames after it are copies of the last one.
        damaged: Number of pictures with damage.
        stand_ins: Number of frames that were replaced.
    """

    def __init__(self, info: VideoInfo, wanted: Sequence[int], threads: int | None = None) -> None:
        self.info = info
        self.ended_at: int | None = None
        self.damaged = self.stand_ins = 0
        self._wanted = wanted
        self._threads = useful_threads(info, len(info.times_seconds), threads or usable_processors())

    def __iter__(self) -> Iterator[tuple[int, VideoFrame | None]]:
        """Yield numbers of frames with their pictures.

        A number may also come without a picture: a frame that is not wanted, as a sign of life.

        Raises:
            BrokenPromiseError: The frames are not those of ``info``, which is a promise. It is raised once all
                pictures are counted.
            VideoError: The video cannot be used; see :func:`nlvid_cli.video.read.read_frames`.
        """
        if self.info.pictures:
            yield from self._of_folder()
            return
        returned, threads = 0, self._threads
        if self.info.pts is not None:
            try:
                for number, frame in self._after_seeks():
                    returned += 1
                    yield number, frame
            except SeekingFailedError as error:
                threads = 1 if error.damaged else threads
            else:
                return
        if threads > 1:
            try:
                for number, picture in self._from_start(returned, threads):
                    returned += picture is not None
                    yield number, picture
            except SeekingFailedError:
                pass
            else:
                return
        yield from self._from_start(returned, 1)

    def _after_seeks(self) -> Iterator[tuple[int, VideoFrame]]:
        with open_video(self.info.path) as (container, stream):
            use_threads(stream, self._threads)
            for seek in plan_seeks(self._wanted, self.info.key_frames.tolist()):
                yield from decode_after(seek, container, stream, self.info)

    def _from_start(self, returned: int, threads: int) -> Iterator[tuple[int, VideoFrame | None]]:
        """Yield the wanted frames but for the first ``returned`` ones."""
        source = FromStart(self.info, self._wanted[returned:], threads)
        promise = _Promise(self.info.times_seconds)
        kept = True
        for number, frame in source:
            if self.info.recount is not None:  # once a promise is broken, numbers do not say when a frame is shown
                kept = kept and source.ended_at is None and promise.is_kept(source.stamps[-1], source.unit)
            else:
                self.ended_at = source.ended_at
            self.damaged, self.stand_ins = source.damaged, source.stand_ins
            yield number, frame if kept else None
        if self.info.recount is None:
            return
        counted = self.info.recount(source.stamps)
        if not np.array_equal(counted.times_seconds, self.info.times_seconds):
            raise BrokenPromiseError(counted)
        self.info = counted

    def _of_folder(self) -> Iterator[tuple[int, VideoFrame]]:
        folder, names = Path(str(self.info.path)), self.info.pictures
        broken: set[int] = set()
        for number in self._wanted:
            frame = decode_picture(folder / names[number])
            if frame is None:
                self.stand_ins += 1
                frame = nearest_frame(folder, names, number, broken)
            yield number, frame


class FrameStream:
    """Wanted frames of a video, upright and resized, in their order; it can be iterated once.

    Args:
        info: The video, from :func:`nlvid_cli.video.probe.probe`.
        wanted: (frames,) numbers, ascending and different.
        rules: The card's preprocessing.
        threads: Number of decoding threads; None uses all processors of this process.
    """

    def __init__(self, info: VideoInfo, wanted: Numbers, rules: Preprocess, threads: int | None = None) -> None:
        self._wanted: list[int] = wanted.tolist()
        self._pictures = PictureStream(info, self._wanted, threads)
        self._rules = rules
        self._oddities = Oddities(info)

    @property
    def info(self) -> VideoInfo:
        """The video; once its frames were counted on the way, as they were counted."""
        return self._pictures.info

    @property
    def ended_at(self) -> int | None:
        """See :class:`PictureStream`."""
        return self._pictures.ended_at

    def __iter__(self) -> Iterator[tuple[int, Pixels | None]]:
        """Yield numbers of frames with their pictures, (height, width, 3) as in ``decode_clips``.

        A number may also come without a picture: a frame that is not wanted, as a sign of life.

        Raises:
            BrokenPromiseError: See :class:`PictureStream`.
            VideoError: The video cannot be used; see :func:`nlvid_cli.video.read.read_frames`.
            InputShapeError: Its frames are smaller than the crop.
        """
        width, height = new_size(self.info, self._rules.short_side, self._rules.size)
        maker = PictureMaker(self.info.orientation, self._rules.resize)
        whole = np.empty((height, width, 3), pixel_type(self._rules.resize))
        for number, frame in self._pictures:
            if frame is None:
                yield number, None
                continue
            self._oddities.note(frame)
            maker.make(frame, whole)
            yield number, crop_to_view(whole, self._rules).copy()

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about the frames so far."""
        pictures = self._pictures
        return damage_warnings(pictures.damaged, pictures.stand_ins, len(self._wanted)) + self._oddities.warnings()


class _Promise:
    """The times of frames that a video's packets promise."""

    def __init__(self, times_seconds: Times) -> None:
        self._times_seconds = times_seconds
        self._number = 0
        self._start: int | None = None
        self._latest: list[int] = []  # a heap: where time stamps are guessed, they may be out of order

    def is_kept(self, stamp: int | None, unit: float) -> bool:
        """Whether the time stamps so far are those of the first frames; the latest ones are not judged yet."""
        if stamp is None:
            return self._start is None and not self._latest
        heapq.heappush(self._latest, stamp)
        if len(self._latest) <= MOST_REORDERED:
            return True
        if self._number == len(self._times_seconds):
            return False
        smallest = heapq.heappop(self._latest)
        self._start = smallest if self._start is None else self._start
        promised = float(self._times_seconds[self._number])
        self._number += 1
        return abs((smallest - self._start) * unit - promised) < SAME_STAMP_SECONDS
