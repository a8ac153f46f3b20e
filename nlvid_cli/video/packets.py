"""Read and decode packets; the one place that knows what FFmpeg and PyAV raise about damaged data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

FFMPEG_ERRORS = (av.error.FFmpegError, MemoryError)
"""Errors that PyAV raises for damaged data. MemoryError is one of them: a damaged length asks for gigabytes."""

MOST_TRIES = 100
"""Attempts to read on where a demuxer only asks to try again."""


class PacketReader:
    """Packets of one stream, in the order of the file, then an empty one that makes the decoder return its last frames.

    A demuxer may end with an error, because the file is cut off or damaged. Then the packets before it are the video,
    as in other players.

    Attributes:
        broken: Why the demuxer stopped before the end of the file, in FFmpeg's words; None if it did not.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        """Prepare to read from the container's present position; iterating again reads on from there."""
        self.broken: str | None = None
        self._container = container
        self._stream = stream

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        for _ in range(MOST_TRIES):
            try:
                yield from self._packets()
            except av.error.BlockingIOError:
                continue
            except IndexError:  # raised by PyAV at the end, if streams appeared after the file was opened
                pass
            except FFMPEG_ERRORS as error:
                self.broken = reason_of(error)
            break
        yield self._last()

    def _last(self) -> Packet[VideoStream]:
        last = Packet()
        last.stream = self._stream
        return cast("Packet[VideoStream]", last)

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        for packet in self._container.demux(self._stream):
            # PyAV may also return packets of streams that appeared after the file was opened
            if packet.stream_index == self._stream.index and not is_last(packet):
                yield packet


def is_last(packet: Packet[VideoStream]) -> bool:
    """Whether this is the empty packet after the last one."""
    return packet.size == 0 and packet.pts is None and packet.dts is None


def decode(packet: Packet[VideoStream]) -> list[VideoFrame] | None:
    """Decode a packet; None if it is damaged (later ones may still decode)."""
    try:
        return packet.decode()
    except FFMPEG_ERRORS:
        return None


def reason_of(error: Exception) -> str:
    """Return FFmpeg's words for an error, to go on in a sentence."""
    reason = str(getattr(error, "strerror", None) or error) or "out of memory"
    return reason[:1].lower() + reason[1:]
