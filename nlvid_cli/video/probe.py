"""Find the times of a video's frames without decoding it.

All packets are read once, undecoded (0.1 s for ten minutes of 1080p), because nothing shorter is exact: headers
over-count, frame rates are rounded, indices have no presentation times. Of a large MP4 or Matroska file only the index
is read (see :mod:`nlvid_cli.video.payload`). Pictures are decoded until two came out, for the size and the rotation as
displayed, and to check the packets' time stamps.

Where packets and pictures may not correspond one to one, the pictures are counted (see
:mod:`nlvid_cli.video.frame_table`): either the whole video is decoded for that, or whoever decodes its frames anyway
does it on the way.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.container import open_index, open_video, open_with_bytes
from nlvid_cli.video.encryption import has_key, is_encrypted
from nlvid_cli.video.frame_names import FRAME_RATE, NO_TIMES, find_frames, unnamed_folder
from nlvid_cli.video.frame_table import FrameTable, PacketColumns, counted_table, promised_stamps, trusted_table
from nlvid_cli.video.info import Header, Orientation, Times, VideoFacts, VideoInfo
from nlvid_cli.video.packets import PacketReader, decode, is_last
from nlvid_cli.video.payload import WithoutPayload, payload_of
from nlvid_cli.video.picture_folder import first_frame
from nlvid_cli.video.refusals import check_frame_size, check_still_picture, encrypted
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.segment import Segment

FIRST_PICTURES = 2

GAP_SECONDS = 10.0
"""Time without a frame that is reported, if it is also more than half of the video."""

UNEVEN = 0.25
"""Deviation from its place, in mean distances, that a frame of a constant frame rate may have: time stamps are rounded
(to 1 ms in Matroska, to 1/25 s at worst), and cameras jitter."""

BROKEN = "the file is cut off or damaged: what comes before that is used (FFmpeg says: {})"


@dataclass(frozen=True, eq=False)
class _Facts:
    """What is known of a video before its frames are counted."""

    path: Path | RemotePath
    stream_index: int
    codec: str
    file_format: str
    unit: float
    nominal_rate: float
    header: Header | None
    width: int
    height: int
    orientation: Orientation
    warnings: tuple[str, ...]


def probe_segment(segment: Segment, promised: bool = False) -> VideoInfo:
    """Find the times of the whole video that a segment is of, see :func:`probe`.

    Raises:
        VideoNotFound: The path is a folder, and the segment does not say that it is one of frames.
        VideoError: The video cannot be used.
    """
    path = segment.file
    if segment.fps is not None and isinstance(path, Path):
        return probe_pictures(path, segment.fps)
    if isinstance(path, Path) and os.path.isdir(path):
        raise unnamed_folder(path)
    return probe(path, promised)


def probe(path: Path | RemotePath, promised: bool = False) -> VideoInfo:
    """Find the times of a video's frames, and its facts.

    Args:
        path: Path of a local, regular file, or a remote path; or a folder of pictures that a data set names, see
            :mod:`nlvid_cli.video.frame_names`, whose rate is assumed.
        promised: Whether the frames that the packets promise are enough where only decoding everything could count
            them. The info then has a ``recount``.

    Raises:
        VideoError: One of the kinds that :func:`nlvid_cli.video.container.open_video` lists, or no picture decodes.
    """
    if isinstance(path, Path) and os.path.isdir(path):  # False for names that no file can have, too
        return probe_pictures(path)
    with open_with_bytes(path) as (container, stream, file):
        header = header_of(stream)  # some of it changes while packets are read
        if is_encrypted(container, stream, file):
            raise encrypted()
        payload = payload_of(file, isinstance(path, RemotePath)) if _has_index(container, stream) else None
        reader = PacketReader(container, stream)
        packets, first = _read_packets(reader, stream, indexed=payload is not None)
        if not first:
            if not stream.codec_context.width:
                check_still_picture(file)
            raise UnreadableVideo(_nothing_decodes(stream))
        if payload is not None:
            with open_index(WithoutPayload(file, payload), stream.index) as (index, same):
                reader = PacketReader(index, same)
                packets = _read_packets(reader, same, pictures=0)[0]
        false_keys = all(packets.keys) and not all(frame.key_frame for frame in first)
        if payload is not None and false_keys and isinstance(path, Path):
            with open_video(path) as (again, same):  # the content of some codecs tells which key frames are real
                reader = PacketReader(again, same)
                packets = _read_packets(reader, same, pictures=0)[0]
        facts = _facts(path, container, stream, first[0], header, reader.broken)
    table = trusted_table(packets, facts.codec, facts.file_format, [frame.pts for frame in first], facts.unit)
    if table is not None:
        return _describe(facts, table)

    def recount(stamps: list[int | None]) -> VideoInfo:
        return _describe(facts, counted_table(stamps, packets, facts.nominal_rate * facts.unit, facts.unit))

    stamps = promised_stamps(packets, facts.codec, [frame.pts for frame in first]) if promised else None
    if stamps is None:
        return recount(_decoded_stamps(path))
    return replace(recount(stamps), recount=recount)


def _has_index(container: InputContainer, stream: VideoStream) -> bool:
    """Whether a file of this kind may describe its packets without their content."""
    hides_frames_in_content = stream.codec_context.codec.canonical_name == "vp8" and "mp4" in container.format.name
    return ("mp4" in container.format.name or "matroska" in container.format.name) and not hides_frames_in_content


def _read_packets(
    reader: PacketReader, stream: VideoStream, pictures: int = FIRST_PICTURES, indexed: bool = False
) -> tuple[PacketColumns, list[VideoFrame]]:
    """Read packets, and decode the first pictures.

    Args:
        reader: The packets.
        stream: Their stream.
        pictures: Number of pictures to decode; there may be fewer.
        indexed: Whether to stop once they are decoded.

    Returns:
        What is known of the packets that were read, and the pictures.

    Raises:
        EncryptedVideo: A packet is encrypted.
    """
    vp8 = stream.codec_context.codec.canonical_name == "vp8"
    packets = PacketColumns()
    first: list[VideoFrame] = []
    for packet in reader:
        if has_key(packet):
            raise encrypted()
        if len(first) < pictures:
            first += decode(packet) or []
        if is_last(packet) or (indexed and len(first) >= pictures):
            break
        packets.pts.append(packet.pts)
        packets.dts.append(packet.dts)
        packets.durations.append(packet.duration or 0)
        packets.sizes.append(packet.size)
        packets.keys.append(packet.is_keyframe)
        packets.shown.append(not packet.is_discard and not (vp8 and _is_hidden_vp8(packet)))
    return packets, first[:pictures]


def _is_hidden_vp8(packet: Packet[VideoStream]) -> bool:
    """Whether a VP8 frame is only a reference: ``show_frame``, bit 4 of the frame tag (RFC 6386, 9.1)."""
    return packet.size > 0 and not memoryview(packet)[0] & 0x10


def _nothing_decodes(stream: VideoStream) -> str:
    if stream.codec_context.codec.canonical_name == "webp":
        return "FFmpeg does not decode animated WebP; convert it to GIF or MP4"
    return "no frame can be decoded (the file is damaged, or only its header arrived)"


def _decoded_stamps(path: Path | RemotePath) -> list[int | None]:
    """Decode all frames, and return the time stamps that come with them."""
    with open_video(path) as (container, stream):
        return [frame.pts for packet in PacketReader(container, stream) for frame in decode(packet) or []]


def header_of(stream: VideoStream) -> Header | None:
    """Return what the file states about a stream; None if that does not include a duration and a frame rate."""
    if not stream.duration or stream.duration < 0 or not stream.guessed_rate or not stream.time_base:
        return None
    return Header(stream.duration, float(stream.guessed_rate), stream.time_base)


def _facts(
    path: Path | RemotePath,
    container: InputContainer,
    stream: VideoStream,
    first: VideoFrame,
    header: Header | None,
    broken: str | None,
) -> _Facts:
    check_frame_size(first.width, first.height)
    orientation = orientation_of(first)
    width, height = orientation.displayed(first.width, first.height)
    return _Facts(
        path=path,
        stream_index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        file_format=container.format.name,
        unit=float(stream.time_base or 0) or 1.0,
        nominal_rate=float(stream.average_rate or stream.guessed_rate or 0) or 25.0,
        header=header,
        width=width,
        height=height,
        orientation=orientation,
        warnings=(BROKEN.format(broken),) if broken else (),
    )


def _describe(facts: _Facts, table: FrameTable) -> VideoInfo:
    times = (table.stamps - table.stamps[0]) * facts.unit
    typical = float(np.median(np.diff(times))) if len(times) > 1 else 1 / facts.nominal_rate
    duration = float(times[-1]) + (table.last_duration * facts.unit or typical or 1 / facts.nominal_rate)
    return VideoInfo(
        path=facts.path,
        times_seconds=times,
        facts=VideoFacts(
            duration,
            len(times) / duration,
            _is_uneven(times),
            facts.width,
            facts.height,
            facts.orientation.rotation_degrees,
        ),
        warnings=facts.warnings + table.warnings + _gap(times),
        stream_index=facts.stream_index,
        orientation=facts.orientation,
        pts=table.pts,
        key_frames=table.key_frames,
        header=replace(facts.header, first_stamp=int(table.stamps[0])) if facts.header else None,
    )


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return how to turn a decoded frame upright, by its display matrix (of the file, or of the frame's own EXIF)."""
    # Not frame.side_data: it and the frame refer to each other, and one picture per video would wait for the collector.
    data = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if not isinstance(data, Buffer):
        return Orientation()
    return Orientation.from_display_matrix(np.frombuffer(bytes(data), np.int32, count=9).reshape(3, 3))


def probe_pictures(folder: Path, fps: float | None = None) -> VideoInfo:
    """Describe the pictures of a folder as the frames of a video.

    Args:
        folder: The folder.
        fps: Frames per second; None: :data:`nlvid_cli.video.frame_names.FRAME_RATE` is assumed, with a warning.

    Raises:
        VideoNotFound: The folder cannot be read, or holds no pictures.
        VideoError: None of its pictures decodes; the error is that of the first one.
    """
    found = find_frames(folder)
    frame = first_frame(folder, found.names)
    orientation = orientation_of(frame)
    width, height = orientation.displayed(frame.width, frame.height)
    rate = fps or FRAME_RATE
    times = np.arange(len(found.names)) / rate
    facts = VideoFacts(len(times) / rate, rate, False, width, height, orientation.rotation_degrees)
    warnings = found.warnings if fps else (NO_TIMES, *found.warnings)
    return VideoInfo(folder, times, facts, warnings, orientation=orientation, pictures=found.names)


def _unknown_side_data(kind: type[SideDataType], value: Any) -> SideDataType:
    """Make a member for a type of side data that FFmpeg knows and PyAV does not; else reading any of them fails."""
    member = object.__new__(kind)
    member._name_ = f"UNKNOWN_{value}"
    member._value_ = value
    return member


# The hook of Python's enumerations for values without a member; PyAV 18.1 converts the type of each side data.
SideDataType._missing_ = classmethod(_unknown_side_data)  # type: ignore[assignment, method-assign]


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
