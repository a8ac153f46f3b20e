"""Decode a video from its start, and pick the wanted frames on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from av.video.frame import VideoFrame

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.decode import decode_everything
from nlvid_cli.video.info import VideoInfo


class FromStart:
    """The wanted frames of a video, in their order; it can be iterated once.

    A frame that does not decode is replaced by the nearest earlier one that does (at the start, the nearest later one).

    Args:
        info: The video.
        wanted: Numbers of frames, ascending.
        threads: Number of decoding threads; see :func:`~nlvid_cli.video.decode.decode_everything`.

    Attributes:
        stand_ins: Number of frames that were replaced.
        damaged: Number of pictures with damage.
        stamps: Time stamps of all pictures so far. If the info has a ``recount``, all pictures of the video are
            decoded; else only those up to the last wanted frame.
        unit: Seconds in a unit of the time stamps.
        ended_at: Number of the last picture, once there are no more; None before.
    """

    def __init__(self, info: VideoInfo, wanted: Sequence[int], threads: int) -> None:
        self.stand_ins = self.damaged = 0
        self.stamps: list[int | None] = []
        self.unit = 1.0
        self.ended_at: int | None = None
        self._info = info
        self._missing = deque(wanted)
        self._threads = threads

    def __iter__(self) -> Iterator[tuple[int, VideoFrame | None]]:
        """Yield each picture's number, with the picture if it is wanted, or stands for a wanted one.

        Raises:
            SeekingFailedError: There is damage, and more than one thread.
            UnreadableVideo: No frame decodes.
        """
        previous: VideoFrame | None = None
        last = 0
        for shown in decode_everything(self._info, self._threads):
            self.damaged += shown.damaged
            self.stamps.append(shown.frame.pts)
            if previous is None:  # those that the decoder returns at the end have no time base
                self.unit = float(shown.frame.time_base or 1)
            last = max(last, shown.number)
            while self._missing and self._missing[0] < shown.number:
                self.stand_ins += 1
                yield self._missing.popleft(), previous or shown.frame
            if self._missing and self._missing[0] == shown.number:
                yield self._missing.popleft(), shown.frame
            else:
                yield shown.number, None
            previous = shown.frame
            if not self._missing and self._info.recount is None:
                return
        if previous is None:
            raise UnreadableVideo("no frame can be decoded (the file is damaged, or only its header arrived)")
        self.ended_at = last
        while self._missing:
            self.stand_ins += 1
            yield self._missing.popleft(), previous
