"""The table of a video's frames: which packets become pictures, and when each is shown.

- Where packets and pictures correspond one to one, packets alone are trusted: the frames can be reached by their time
  stamps.
- Elsewhere the packets are only a promise, which decoding has to keep: AVI has no presentation times, and of some
  codecs too little is known.
- Where they cannot even promise (time stamps are missing or start again), pictures are decoded and counted first.

All tables begin with the first picture that decodes. A recording may begin in the middle of a group of pictures, whose
packets no player ever shows.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from nlvid_cli.video.decode import frame_number
from nlvid_cli.video.info import Numbers, Times

SEEKABLE = frozenset({
    "h264", "hevc", "vvc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4", "h263", "theora",
    "mjpeg", "prores", "dnxhd", "ffv1",
})  # fmt: skip
"""Codecs that decode to the same pictures from a key frame as from the start."""

ONE_PICTURE_PER_PACKET = SEEKABLE | {"png", "gif", "apng"}
"""Codecs whose packets each show one picture, except for VP8's hidden frames and MPEG-4's empty ones (see below)."""

COUNTED_FORMATS = frozenset({"avi", "h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1", "obu", "h261", "h263"})
"""Formats without presentation time stamps; FFmpeg reports guesses."""

EMPTY_MPEG4_BYTES = 16
"""Size below which an MPEG-4 packet may be "not coded" (the previous picture stays) and return no picture."""

MOST_REORDERED = 16
"""Largest number of frames that a decoder holds back to put them in order (H.264 and HEVC, ``max_num_reorder``)."""

JOINED = "its time stamps start again: it is read as {} recordings, one after another"

NO_TIMES = "some frames have no time stamps: all are assumed to be evenly spaced"

NO_START = (
    "its first {:.2f} s cannot be decoded (it begins in the middle of a group of pictures, or is damaged there): "
    "time starts after them"
)


@dataclass
class PacketColumns:
    """What the demuxer reports about each packet, in the order of the file.

    Attributes:
        pts: Presentation time stamps.
        dts: Decoding time stamps.
        durations: In the same unit; 0 if unknown.
        sizes: In bytes.
        keys: Whether the packet claims to be a key frame.
        shown: Whether its picture is shown.
    """

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)

    def shown_pts(self, smallest_bytes: int = 0) -> list[int | None]:
        """Return the time stamps of the packets that are shown and not smaller than this."""
        return [
            pts
            for pts, size, shown in zip(self.pts, self.sizes, self.shown, strict=True)
            if shown and size >= smallest_bytes
        ]

    @property
    def last_duration(self) -> int:
        """Duration of the last packet."""
        return max(self.durations[-1:], default=0)


@dataclass(frozen=True, eq=False)
class FrameTable:
    """The frames in the order of display.

    Attributes:
        stamps: (frames,) time stamps, ascending, in units of the stream.
        last_duration: Duration of the last frame, in the same unit.
        pts: (frames,) the same stamps, where they identify the pictures; else None.
        key_frames: (keys,) numbers of the frames at which decoding can start.
        warnings: Oddities, in sentences.
    """

    stamps: Times
    last_duration: int
    pts: Numbers | None = None
    key_frames: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    warnings: tuple[str, ...] = ()


def trusted_table(
    packets: PacketColumns, codec: str, file_format: str, first_pts: list[int | None], unit: float
) -> FrameTable | None:
    """Return the frames by the packets' time stamps; None where packets and pictures may not correspond.

    Args:
        packets: All packets.
        codec: FFmpeg's name of the codec.
        file_format: FFmpeg's name of the container.
        first_pts: Time stamps of the first decoded pictures.
        unit: Seconds in a unit of the time stamps.
    """
    if codec not in ONE_PICTURE_PER_PACKET or file_format in COUNTED_FORMATS:
        return None
    if codec == "mpeg4" and min(packets.sizes, default=0) < EMPTY_MPEG4_BYTES:
        return None
    shown = packets.shown_pts()
    known = [stamp for stamp in shown if stamp is not None]
    if len(known) < len(shown) or not known or joints_of_packets(packets):
        return None
    pts = np.array(sorted(known), np.int64)
    begin = frame_number(pts, first_pts[0])
    if begin is None or (np.diff(pts) == 0).any() or not _follow_each_other(pts, first_pts):
        return None
    last_duration = max(
        (stamp, duration)
        for stamp, duration, is_shown in zip(packets.pts, packets.durations, packets.shown, strict=True)
        if is_shown and stamp is not None
    )[1]
    warnings = _no_start(pts, begin, unit)
    pts = pts[begin:]
    keys = [stamp for stamp, key in zip(packets.pts, packets.keys, strict=True) if key and stamp is not None]
    key_frames = np.flatnonzero(np.isin(pts, keys)) if codec in SEEKABLE else np.zeros(0, np.int64)
    return FrameTable(pts.astype(np.float64), last_duration, pts, key_frames, warnings)


def promised_stamps(packets: PacketColumns, codec: str, first_pts: list[int | None]) -> list[int | None] | None:
    """Return the time stamps that decoding should return, ascending, or None for each; None if nobody can tell.

    Args:
        packets: All packets.
        codec: FFmpeg's name of the codec.
        first_pts: Time stamps of the first decoded pictures.
    """
    # a packet of one byte stands for a picture that came packed into the one before (MPEG-4 in AVI)
    stamps = packets.shown_pts(smallest_bytes=2 if codec == "mpeg4" else 0)
    if all(stamp is None for stamp in stamps):
        return stamps if first_pts[0] is None else None
    known = sorted(stamp for stamp in stamps if stamp is not None)
    begin = frame_number(np.array(known, np.int64), first_pts[0])
    if len(known) < len(stamps) or begin is None or joints_of_packets(packets):
        return None
    return list(known[begin:])


def counted_table(stamps: list[int | None], packets: PacketColumns, frame_units: float, unit: float) -> FrameTable:
    """Return the table of pictures that were decoded.

    Args:
        stamps: Time stamp of each picture, in the order in which they came out.
        packets: All packets.
        frame_units: Units of the time stamps in a frame's duration.
        unit: Seconds in a unit.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps):  # the best guess is an even grid
        even = np.arange(len(stamps)) / frame_units
        return FrameTable(even, packets.last_duration, warnings=(NO_TIMES,))
    times = np.array(known, np.float64)
    joints = _joints_of_pictures(known, len(joints_of_packets(packets)))
    for joint in joints:
        times[joint:] += times[joint - 1] + np.median(np.abs(np.diff(known))) - times[joint]
    if joints:
        return FrameTable(np.sort(times), packets.last_duration, warnings=(JOINED.format(len(joints) + 1),))
    times = np.sort(times)
    promised = np.array(sorted(stamp for stamp in packets.shown_pts() if stamp is not None), np.float64)
    warnings = _no_start(promised, int(np.searchsorted(promised, times[0])), unit)
    return FrameTable(times, packets.last_duration, warnings=warnings)


def joints_of_packets(packets: PacketColumns) -> list[int]:
    """Return the numbers of the packets at which time starts again: there recordings were joined.

    Decoding times go back there. Or, where they are not known, a presentation time is below more earlier ones than
    decoders reorder; however long the pauses between frames are, that does not happen within a recording.
    """
    times = [(dts, key) for dts, key in zip(packets.dts, packets.keys, strict=True) if dts is not None]
    by_dts = [number for number in range(1, len(times)) if times[number][0] < times[number - 1][0] and times[number][1]]
    by_pts = _joints([stamp for stamp in packets.pts if stamp is not None])
    return max(by_dts, by_pts, key=len)


def _joints_of_pictures(stamps: list[int], expected: int) -> list[int]:
    """Return where time starts again among pictures in the order of display, as often as among the packets."""
    joints = _joints(stamps)
    if len(joints) < expected:  # recordings of a few frames
        backwards: list[int] = (np.flatnonzero(np.diff(stamps) < 0) + 1).tolist()
        return backwards if len(backwards) == expected else joints
    return joints


def _joints(stamps: list[int]) -> list[int]:
    """Return where a time stamp is below more than :data:`MOST_REORDERED` earlier ones of the same recording."""
    joints: list[int] = []
    largest: list[int] = []  # a heap, the smallest first
    for number, stamp in enumerate(stamps):
        if len(largest) <= MOST_REORDERED:
            heapq.heappush(largest, stamp)
        elif stamp < largest[0]:
            joints.append(number)
            largest = [stamp]
        else:
            heapq.heapreplace(largest, stamp)
    return joints


def _follow_each_other(pts: Numbers, first_pts: list[int | None]) -> bool:
    """Whether the first decoded pictures are neighbours in the table.

    They are not if fields, or other data, have packets of their own.
    """
    numbers = [frame_number(pts, stamp) for stamp in first_pts]
    return numbers[0] is not None and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _no_start(stamps: Numbers | Times, begin: int, unit: float) -> tuple[str, ...]:
    """Return a warning about the packets before the first picture that decodes."""
    return (NO_START.format((stamps[begin] - stamps[0]) * unit),) if 0 < begin < len(stamps) else ()
