"""Decoding stretches of a video, and noticing when the result is not what the time stamps promised."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nlvid_cli.video.container import open_video
from nlvid_cli.video.info import Numbers, VideoInfo

DECODING_ERRORS = (av.error.FFmpegError, MemoryError)
"""What PyAV raises for a packet that cannot be decoded."""

SEEK_EARLIER_SECONDS = (0, 1, 10)
"""How far before a key frame a seek aims, one attempt after the other."""


class SeekingFailedError(Exception):
    """What came out after a seek is not what the table of time stamps promises."""


@dataclass(frozen=True)
class Stretch:
    """Wanted frame numbers, ascending, that hang on one key frame; ``start`` is its number, None the file's start."""

    start: int | None
    wanted: list[int]


@dataclass(frozen=True)
class Shown:
    """A decoded picture, its frame number, and whether the decoder knows it to be damaged."""

    number: int
    frame: VideoFrame
    damaged: bool


def use_threads(stream: VideoStream, threads: int) -> None:
    """Let the decoder of ``stream`` work on ``threads`` frames at a time; to be called before the first packet."""
    stream.codec_context.thread_type = ThreadType.FRAME if threads > 1 else ThreadType.NONE
    stream.codec_context.thread_count = threads


def decode_stretch(
    container: InputContainer, stream: VideoStream, info: VideoInfo, stretch: Stretch
) -> Iterator[tuple[int, VideoFrame]]:
    """The wanted frames of a stretch, each with its number, ascending.

    Args:
        container: of which ``stream`` is a part; it is moved to the start of the stretch.
        stream: the video stream.
        info: with ``pts``.
        stretch: one of the video's; one without a start must be the first that is read from ``container``.

    Raises:
        SeekingFailedError: anything else came out, so that frame numbers after a seek cannot be relied on.
    """
    assert info.pts is not None
    wanted = deque(stretch.wanted)
    packets = _packets_from(container, stream, info, stretch.start)
    if stream.codec_context.codec.canonical_name == "h264":
        packets = _skip_disposable(packets, stream, {int(info.pts[number]) for number in wanted})
    for packet in packets:
        for frame in _decode_strictly(packet):
            number = frame_number(info.pts, frame.pts)
            if number is None or number > wanted[0]:
                raise SeekingFailedError
            if number == wanted[0]:
                yield number, frame
                wanted.popleft()
            if not wanted:
                return
    raise SeekingFailedError


def _packets_from(
    container: InputContainer, stream: VideoStream, info: VideoInfo, start: int | None
) -> Iterator[Packet[VideoStream]]:
    """Packets from key frame number ``start`` on (None: from where the container stands, its start).

    Some formats look for decoding times, which are earlier than presentation times, and so land behind the key frame:
    then it is tried again with an earlier time. Packets on the way are read, not decoded.
    """
    if start is None:
        yield from container.demux(stream)
        return
    assert info.pts is not None
    key = int(info.pts[start])
    for earlier_seconds in SEEK_EARLIER_SECONDS:
        _seek(container, stream, key - round(earlier_seconds / (stream.time_base or 1)))
        found = False
        for packet in container.demux(stream):
            found = found or (packet.pts == key and packet.is_keyframe)
            if found:
                yield packet
            elif packet.is_keyframe and packet.pts is not None and packet.pts > key:
                break
        if found:
            return
    raise SeekingFailedError


def _seek(container: InputContainer, stream: VideoStream, target: int) -> None:
    try:
        container.seek(target, stream=stream)
    except DECODING_ERRORS:
        raise SeekingFailedError from None


def _skip_disposable(
    packets: Iterator[Packet[VideoStream]], stream: VideoStream, wanted_pts: set[int]
) -> Iterator[Packet[VideoStream]]:
    """Let the H.264 decoder drop pictures that nobody wants and no other picture refers to (``nal_ref_idc`` 0).

    The standard forbids to predict from these (ITU-T H.264, 7.4.1), so all others come out the same, bit for bit.
    """
    for packet in packets:
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted_pts else "NONREF"
        yield packet


def _decode_strictly(packet: Packet[VideoStream]) -> list[VideoFrame]:
    try:
        frames = packet.decode()
    except DECODING_ERRORS:
        raise SeekingFailedError from None
    if any(frame.is_corrupt for frame in frames):
        raise SeekingFailedError
    return frames


def decode_leniently(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """The pictures that come out with a packet; none where it is damaged (what follows may still decode)."""
    try:
        return packet.decode()
    except DECODING_ERRORS:
        return []


def frame_number(pts: Numbers, stamp: int | None) -> int | None:
    """Number of the frame with this time stamp, None if there is none."""
    if stamp is None:
        return None
    number = int(np.searchsorted(pts, stamp))
    return number if number < len(pts) and pts[number] == stamp else None


def decode_everything(info: VideoInfo) -> Iterator[Shown]:
    """All pictures that decode, from the start, in the order in which the decoder displays them.

    A packet that does not decode is passed over, and the next picture counts as damaged. One thread, because
    what a decoder makes up for damaged parts may depend on their number (with slice threads, H.264 makes up nothing).
    """
    damaged = False
    count = 0
    with open_video(info.path) as (container, stream):
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except DECODING_ERRORS:
                frames, damaged = [], True
            for frame in frames:
                number = count if info.pts is None else frame_number(info.pts, frame.pts)
                count += 1
                if number is not None:
                    yield Shown(number, frame, damaged or frame.is_corrupt)
                    damaged = False
