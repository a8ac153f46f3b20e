"""A video, or its part, on its way into a new file: its pictures, and their times by the source's own clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from av.video.frame import VideoFrame

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.container import open_video
from nlvid_cli.video.frame_table import JOINED, NO_TIMES
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.segment import Stretch
from nlvid_cli.video.stream import PictureStream
from nlvid_cli.video.trim import trim

PICTURES_UNIT = Fraction(1, 90000)
"""Time base of folders of pictures."""


@dataclass(frozen=True)
class Source:
    """A video, and the part of it to write.

    Attributes:
        info: The whole video, whose frames are counted.
        first: Number of the first frame of the part.
        last: Number of the first frame after it.
        unit: Seconds in a unit of the video's time stamps.
        pixel_shape: Width of a pixel, divided by its height, after the picture is turned upright.
    """

    info: VideoInfo
    first: int
    last: int
    unit: Fraction
    pixel_shape: Fraction

    @classmethod
    def of(cls, info: VideoInfo, stretch: Stretch | None) -> Source:
        """Open a video to see what it says of its time and its pixels.

        Raises:
            VideoError: It cannot be used, or no frame lies in the stretch.
        """
        part, first = trim(info, stretch)
        last = first + len(part.times_seconds)
        if info.pictures:
            return cls(info, first, last, PICTURES_UNIT, Fraction(1))
        with open_video(info.path) as (_, stream):
            stated = Fraction(stream.sample_aspect_ratio or 1)
            unit = Fraction(stream.time_base or PICTURES_UNIT)
        shape = stated if stated > 0 else Fraction(1)
        return cls(info, first, last, unit, 1 / shape if info.orientation.exchange_axes else shape)

    @property
    def start_seconds(self) -> float:
        """Time of the first frame of the part."""
        return self.seconds(self.first)

    @property
    def end_seconds(self) -> float:
        """Time of the end of its last frame."""
        return self.seconds(self.last)

    @property
    def is_to_the_end(self) -> bool:
        """Whether the part ends with the video."""
        return self.last >= len(self.info.times_seconds)

    @property
    def has_sound(self) -> bool:
        """Whether its sound can be told to belong to its pictures."""
        made_up = (NO_TIMES, JOINED.partition("{")[0])
        return not self.info.pictures and not any(text.startswith(made_up) for text in self.info.warnings)

    def seconds(self, number: int) -> float:
        """Return the time of a frame from the first one of the video; of the one after the last, the end."""
        times = self.info.times_seconds
        return float(times[number]) if number < len(times) else self.info.facts.duration_seconds

    def units(self, number: int) -> int:
        """Return the same in units of the video's time stamps."""
        return round(self.seconds(number) / self.unit)

    def duration(self, number: int) -> int:
        """Return how long a frame lasts, in units of the time stamps."""
        return max(1, self.units(number + 1) - self.units(number))

    def pictures(self, numbers: Sequence[int] | None = None) -> tuple[VideoFrame, Iterator[tuple[int, VideoFrame]]]:
        """Decode the part, or some frames of it.

        Args:
            numbers: Numbers of frames, ascending; None: all of the part.

        Returns:
            The first picture, and an iterator over all numbers and pictures. A frame that does not decode has the
            picture before it.

        Raises:
            VideoError: No frame can be decoded.
        """
        wanted = range(self.first, self.last) if numbers is None else numbers
        pictures = ((number, frame) for number, frame in PictureStream(self.info, wanted) if frame is not None)
        first = next(pictures, None)
        if first is None:
            raise UnreadableVideo("no frame of the part can be decoded (the file is damaged)")
        return first[1], chain([first], pictures)

    def stamp_of_start(self, first: VideoFrame) -> int:
        """Return the time stamp of the video's first frame, by the first picture of the part."""
        if self.info.pts is not None:
            return int(self.info.pts[0])
        return 0 if self.info.pictures or first.pts is None else first.pts - self.units(self.first)
