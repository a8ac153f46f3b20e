"""Find the times of a video's frames without decoding it.

All packets are read once, undecoded (0.1 s for ten minutes of 1080p), because nothing shorter is exact: headers
over-count, frame rates are rounded, indices have no presentation times. The first two pictures are decoded, for the
size and the rotation as displayed, and to check the packets' time stamps.

Where packets and pictures do not correspond one to one, the whole video is decoded once and its pictures are counted:
for AVI (which has no presentation times), for packets with missing or repeated time stamps, and for codecs of which too
little is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.container import check_frame_size, open_file, open_video
from nlvid_cli.video.decode import decode_leniently, frame_number
from nlvid_cli.video.info import Header, Numbers, Orientation, Times, VideoFacts, VideoInfo
from nlvid_cli.video.remote import RemoteFile, RemotePath, open_remote

SEEKABLE = frozenset({
    "h264", "hevc", "vvc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4", "h263", "theora",
    "mjpeg", "prores", "dnxhd", "ffv1",
})  # fmt: skip
"""Codecs that decode to the same pictures from a key frame as from the start."""

ONE_PICTURE_PER_PACKET = SEEKABLE | {"png", "gif", "apng"}
"""Codecs whose packets each show one picture, except for VP8's hidden frames and MPEG-4's empty ones (see below)."""

COUNTED_FORMATS = frozenset({"avi", "h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1", "obu", "h261", "h263"})
"""Formats without presentation time stamps; FFmpeg reports guesses."""

MP4_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2",)
"""Formats whose index describes every packet, so that only the index of a remote file is fetched."""

EMPTY_MPEG4_BYTES = 16
"""Size below which an MPEG-4 packet may be "not coded" (the previous picture stays) and return no picture."""

GAP_SECONDS = 10.0
"""Time without a frame that is reported, if it is also more than half of the video."""

UNEVEN = 0.25
"""Deviation from its place, in mean distances, that a frame of a constant frame rate may have: time stamps are rounded
(to 1 ms in Matroska, to 1/25 s at worst), and cameras jitter."""

MOST_REORDERED = 17
"""Frames by which time stamps of packets may go back: H.264 and HEVC reorder up to 16 (``max_num_reorder``)."""

JOINED = "its time stamps start again: it is read as {} recordings, one after another"

NO_TIMES = "some frames have no time stamps: all are assumed to be evenly spaced"


@dataclass(frozen=True)
class _Packets:
    """Columns of what the demuxer reports about each packet, in the order of the file."""

    pts: list[int | None]
    durations: list[int]
    sizes: list[int]
    keys: list[bool]
    shown: list[bool]


@dataclass(frozen=True)
class _Table:
    """Time stamps of the displayed frames, ascending, and the duration of the last one, in units of the stream."""

    stamps: Times
    last_duration: int
    pts: Numbers | None
    key_frames: Numbers
    warnings: tuple[str, ...] = ()


def probe(path: Path | RemotePath) -> VideoInfo:
    """Find the times of a video's frames, and its facts.

    Args:
        path: Path of a local, regular file, or a remote path.

    Raises:
        VideoError: One of the kinds that :func:`nlvid_cli.video.container.open_video` lists, or no picture decodes.
    """
    with _opened(path) as (container, stream, file):
        header = header_of(stream)  # some of it changes while packets are read
        packets, first = _read_packets(container, stream, file)
        unit = float(stream.time_base or 0) or 1.0
        nominal = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
        codec, file_format, index = stream.codec_context.codec.canonical_name, container.format.name, stream.index
    if not first and codec == "webp":
        raise UnreadableVideo("FFmpeg does not decode animated WebP; convert it to GIF or MP4")
    if not first:
        raise UnreadableVideo("no frame can be decoded (the file is damaged, or only its header arrived)")
    table = _trusted_table(packets, codec, file_format, [frame.pts for frame in first])
    if table is None:
        table = _decoded_table(path, packets, nominal * unit)
    return _describe(path, index, table, first[0], unit, nominal, header)


@contextmanager
def _opened(path: Path | RemotePath) -> Iterator[tuple[InputContainer, VideoStream, RemoteFile | None]]:
    if isinstance(path, RemotePath):
        with open_remote(path) as file, open_file(file) as (container, stream):
            yield container, stream, file
        return
    with open_video(path) as (container, stream):
        yield container, stream, None


def _read_packets(
    container: InputContainer, stream: VideoStream, file: RemoteFile | None
) -> tuple[_Packets, list[VideoFrame]]:
    """Read all packets, and decode the first pictures: two, unless there is only one."""
    vp8 = stream.codec_context.codec.canonical_name == "vp8"
    if file is None or vp8 or container.format.name not in MP4_FORMATS:
        return _demux_all(container, stream, vp8)
    first: list[VideoFrame] = []
    for packet in container.demux(stream):
        first += decode_leniently(packet)
        if len(first) >= 2:
            break
    if not file.without_media():
        file.seek(0)
        with open_file(file) as (again, same):
            return _demux_all(again, same, vp8)
    with open_file(file, only_index=True) as (index, stream_in_index):
        return _demux_all(index, stream_in_index, vp8=False, pictures=0)[0], first[:2]


def _demux_all(
    container: InputContainer, stream: VideoStream, vp8: bool, pictures: int = 2
) -> tuple[_Packets, list[VideoFrame]]:
    packets = _Packets([], [], [], [], [])
    first: list[VideoFrame] = []
    for packet in container.demux(stream):
        if len(first) < pictures:
            first += decode_leniently(packet)
        if packet.size == 0 and packet.pts is None and packet.dts is None:
            continue  # marks the end
        packets.pts.append(packet.pts)
        packets.durations.append(packet.duration or 0)
        packets.sizes.append(packet.size)
        packets.keys.append(packet.is_keyframe)
        packets.shown.append(not packet.is_discard and not (vp8 and _is_hidden_vp8(packet)))
    return packets, first[:pictures]


def _is_hidden_vp8(packet: Packet[VideoStream]) -> bool:
    """Whether a VP8 frame is only a reference: ``show_frame``, bit 4 of the frame tag (RFC 6386, 9.1)."""
    return packet.size > 0 and not memoryview(packet)[0] & 0x10


def _trusted_table(packets: _Packets, codec: str, file_format: str, first_pts: list[int | None]) -> _Table | None:
    """Return the frames by the packets' time stamps; None where packets and pictures may not correspond."""
    if codec not in ONE_PICTURE_PER_PACKET or file_format in COUNTED_FORMATS:
        return None
    if codec == "mpeg4" and min(packets.sizes, default=0) < EMPTY_MPEG4_BYTES:
        return None
    shown = [
        (pts, duration)
        for pts, duration, shown in zip(packets.pts, packets.durations, packets.shown, strict=True)
        if shown and pts is not None
    ]
    if _joints(np.array([stamp for stamp, _ in shown], np.float64)):
        return None
    pts = np.array(sorted(stamp for stamp, _ in shown), np.int64)
    complete = len(shown) == sum(packets.shown) and len(pts) > 0
    if not complete or (np.diff(pts) == 0).any() or not _follow_each_other(pts, first_pts):
        return None
    keys = [stamp for stamp, key in zip(packets.pts, packets.keys, strict=True) if key and stamp is not None]
    key_frames = np.flatnonzero(np.isin(pts, keys)) if codec in SEEKABLE else np.zeros(0, np.int64)
    return _Table(pts.astype(np.float64), max(shown)[1], pts, key_frames)


def _follow_each_other(pts: Numbers, first_pts: list[int | None]) -> bool:
    """Whether the first decoded pictures are neighbours in the table.

    They are not if fields, or other data, have packets of their own. They need not be at the start of the table: the
    first packet may be damaged.
    """
    numbers = [frame_number(pts, stamp) for stamp in first_pts]
    return numbers[0] is not None and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _decoded_table(path: Path | RemotePath, packets: _Packets, frame_units: float) -> _Table:
    """Decode all frames, and return as many as come out, at the time stamps that come with them."""
    with open_video(path) as (container, stream):
        pts = [frame.pts for packet in container.demux(stream) for frame in decode_leniently(packet)]
    known = [stamp for stamp in pts if stamp is not None]
    last_duration = max(packets.durations[-1:], default=0)
    if len(known) < len(pts):  # the best guess is an even grid
        return _Table(np.arange(len(pts)) / frame_units, last_duration, None, np.zeros(0, np.int64), (NO_TIMES,))
    stamps = np.array(known, np.float64)
    joints = _joints(stamps)
    for joint in joints:
        stamps[joint:] += stamps[joint - 1] + np.median(np.abs(np.diff(known))) - stamps[joint]
    warnings = (JOINED.format(len(joints) + 1),) if joints else ()
    return _Table(np.sort(stamps), last_duration, None, np.zeros(0, np.int64), warnings)


def _joints(stamps: Times) -> list[int]:
    """Return where time goes back further than decoders reorder pictures: where recordings were joined."""
    steps = np.diff(stamps)
    if len(steps) == 0:
        return []
    joints: list[int] = (np.flatnonzero(steps < -MOST_REORDERED * np.median(np.abs(steps))) + 1).tolist()
    return joints


def header_of(stream: VideoStream) -> Header | None:
    """Return what the file states about a stream; None if that does not include a duration and a frame rate."""
    if not stream.duration or stream.duration < 0 or not stream.guessed_rate or not stream.time_base:
        return None
    return Header(stream.duration, float(stream.guessed_rate), stream.time_base)


def _describe(
    path: Path | RemotePath,
    index: int,
    table: _Table,
    first: VideoFrame,
    unit: float,
    nominal: float,
    header: Header | None,
) -> VideoInfo:
    check_frame_size(first.width, first.height)
    orientation = orientation_of(first)
    width, height = orientation.displayed(first.width, first.height)
    times = (table.stamps - table.stamps[0]) * unit
    typical = float(np.median(np.diff(times))) if len(times) > 1 else 1 / nominal
    duration = float(times[-1]) + (table.last_duration * unit or typical or 1 / nominal)
    return VideoInfo(
        path=path,
        times_seconds=times,
        facts=VideoFacts(
            duration, len(times) / duration, _is_uneven(times), width, height, orientation.rotation_degrees
        ),
        warnings=table.warnings + _gap(times),
        stream_index=index,
        orientation=orientation,
        pts=table.pts,
        key_frames=table.key_frames,
        header=replace(header, first_stamp=int(table.stamps[0])) if header else None,
    )


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return how to turn a decoded frame upright, by its display matrix."""
    # Not frame.side_data: it and the frame refer to each other, and one picture per video would wait for the collector.
    data = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if not isinstance(data, Buffer):
        return Orientation()
    return Orientation.from_display_matrix(np.frombuffer(bytes(data), np.int32, count=9).reshape(3, 3))


def _gap(times_seconds: Times) -> tuple[str, ...]:
    """Return a warning if the video stands still for longer than it moves."""
    steps = np.diff(times_seconds)
    if len(steps) < 2 or steps.max() <= max(GAP_SECONDS, times_seconds[-1] / 2):
        return ()
    start = times_seconds[int(steps.argmax())]
    return (f"its time stamps jump: no frame for {steps.max():.0f} s after {start:.1f} s; clips there show a still",)


def _is_uneven(times: Times) -> bool:
    """Whether frames are not where a constant rate has them, a gap of one frame after the first one excepted.

    FFmpeg guesses the time stamps of AVI from the order of the packets. Where these are packed B-frames (DivX, Xvid),
    the second picture comes out one packet late, and none is missing between the first and the second.
    """
    if len(times) < 3:
        return False
    without_gap = times.copy()
    without_gap[0] += (times[-1] - times[1]) / (len(times) - 2)
    return _deviates(times) and _deviates(without_gap)


def _deviates(times: Times) -> bool:
    """Whether a frame stands :data:`UNEVEN` of the mean distance or more from where it would be among even ones."""
    even = np.linspace(times[0], times[-1], len(times))
    return bool(np.abs(times - even).max() > UNEVEN * (even[1] - even[0]))
