"""Decode parts of a video after a seek, or all of it, and notice pictures that a full decoding would not return."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from av import logging as ffmpeg_messages
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nlvid_cli.video.container import open_video
from nlvid_cli.video.info import Numbers, VideoInfo
from nlvid_cli.video.packets import FFMPEG_ERRORS, PacketReader, decode

SEEK_EARLIER_SECONDS = (0, 1, 10)
"""Distance before a key frame at which a seek aims, in the order of the attempts."""


class SeekingFailedError(Exception):
    """The pictures after a seek are not those that the table of time stamps promises.

    Attributes:
        damaged: Whether a packet is damaged, so that decoding from the start will meet it too.
    """

    def __init__(self, damaged: bool = False) -> None:
        super().__init__()
        self.damaged = damaged


@dataclass(frozen=True)
class Seek:
    """A seek to key frame number ``start``, or None for the start of the file, and the frames to decode after it.

    ``wanted`` holds their numbers, ascending.
    """

    start: int | None
    wanted: list[int]


@dataclass(frozen=True)
class Shown:
    """A decoded picture, its frame number, and whether the decoder reports damage."""

    number: int
    frame: VideoFrame
    damaged: bool


def use_threads(stream: VideoStream, threads: int) -> None:
    """Let the decoder of ``stream`` work on ``threads`` frames at a time. Call it before the first packet.

    Where another library sends FFmpeg's messages to Python (``av.logging.set_level``), it works on one: PyAV frees a
    decoder with the interpreter lock held, and a thread of it that has a message to send waits for that lock for ever.
    """
    if ffmpeg_messages.get_level() is not None:
        threads = 1
    stream.codec_context.thread_type = ThreadType.FRAME if threads > 1 else ThreadType.NONE
    stream.codec_context.thread_count = threads


def decode_after(
    seek: Seek, container: InputContainer, stream: VideoStream, info: VideoInfo
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the wanted frames after a seek, each with its number, ascending.

    Args:
        seek: Where to seek to, and the wanted frames. A seek to the start of the file must be the container's first.
        container: The open file; it is moved.
        stream: Its video stream.
        info: The video's info, with ``pts``.

    Raises:
        SeekingFailedError: Other pictures came out, so that frame numbers after a seek are not reliable in this file.
    """
    assert info.pts is not None
    wanted = deque(seek.wanted)
    key = seek.start
    packets = _packets_from(container, stream, info, seek.start)
    if stream.codec_context.codec.canonical_name == "h264":
        packets = _skip_disposable(packets, stream, {int(info.pts[number]) for number in wanted})
    for packet in packets:
        for frame in _decode_strictly(packet):
            number = frame_number(info.pts, frame.pts)
            if number is None or number > wanted[0]:
                raise SeekingFailedError
            if key is not None and number >= key:
                if number > key or not frame.key_frame:  # a container may take any frame for a key frame
                    raise SeekingFailedError
                key = None
            if number == wanted[0]:
                yield number, frame
                wanted.popleft()
            if not wanted:
                return
    raise SeekingFailedError


def _packets_from(
    container: InputContainer, stream: VideoStream, info: VideoInfo, start: int | None
) -> Iterator[Packet[VideoStream]]:
    """Yield packets from key frame number ``start`` on; None: from the start of the file.

    Some formats search by decoding times, which are earlier than presentation times, and land behind the key frame.
    Then the seek is repeated with an earlier time. Packets before the key frame are read, not decoded.
    """
    if start is None:
        yield from PacketReader(container, stream)
        return
    assert info.pts is not None
    key = int(info.pts[start])
    for earlier_seconds in SEEK_EARLIER_SECONDS:
        _move(container, stream, key - round(earlier_seconds / (stream.time_base or 1)))
        found = False
        for packet in PacketReader(container, stream):
            found = found or (packet.pts == key and packet.is_keyframe)
            if found:
                yield packet
            elif packet.is_keyframe and packet.pts is not None and packet.pts > key:
                break
        if found:
            return
    raise SeekingFailedError


def _move(container: InputContainer, stream: VideoStream, target: int) -> None:
    try:
        container.seek(target, stream=stream)
    except FFMPEG_ERRORS:
        raise SeekingFailedError from None


def _skip_disposable(
    packets: Iterator[Packet[VideoStream]], stream: VideoStream, wanted_pts: set[int]
) -> Iterator[Packet[VideoStream]]:
    """Let the H.264 decoder drop unwanted pictures that no other picture refers to (``nal_ref_idc`` 0).

    The standard forbids prediction from these (ITU-T H.264, 7.4.1), so all others stay the same, bit for bit.
    """
    for packet in packets:
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted_pts else "NONREF"
        yield packet


def _decode_strictly(packet: Packet[VideoStream]) -> list[VideoFrame]:
    frames = decode(packet)
    if frames is None or any(frame.is_corrupt for frame in frames):
        raise SeekingFailedError(damaged=True)
    return frames


def frame_number(pts: Numbers, stamp: int | None) -> int | None:
    """Return the number of the frame with this time stamp; None if there is none."""
    if stamp is None:
        return None
    number = int(np.searchsorted(pts, stamp))
    return number if number < len(pts) and pts[number] == stamp else None


def decode_everything(info: VideoInfo, threads: int = 1) -> Iterator[Shown]:
    """Yield all pictures that decode, from the start, in the order of display.

    Args:
        info: The video.
        threads: Number of decoding threads. How a decoder fills damaged parts may depend on it (with slice threads,
            H.264 fills nothing), so with more than one, damage is an error.

    Yields:
        With one thread: a packet that does not decode is skipped, and the next picture counts as damaged.

    Raises:
        SeekingFailedError: There is damage, and more than one thread.
    """
    damaged = False
    count = 0
    with open_video(info.path) as (container, stream):
        use_threads(stream, threads)
        for packet in PacketReader(container, stream):
            frames = decode(packet) if threads == 1 else _decode_strictly(packet)
            damaged |= frames is None
            for frame in frames or []:
                number = count if info.pts is None else frame_number(info.pts, frame.pts)
                count += 1
                if number is not None:
                    yield Shown(number, frame, damaged or frame.is_corrupt)
                    damaged = False
