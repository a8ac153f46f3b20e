"""The sound of a video, packet by packet, for a new file of its pictures.

The packets are read from the source once more, by a reader of their own, up to the time of the pictures. So nothing is
kept in memory, however the source has interleaved them. Packets are copied where the new file can hold them and players
know them there; else their sound is decoded and encoded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from nlvid_cli.video.packets import FFMPEG_ERRORS, MOST_TRIES
from nlvid_cli.video.remote import RemotePath

COPIED = {
    "mp4": frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"}),
    "webm": frozenset({"opus", "vorbis"}),
}
"""Codecs of sound that are copied, by the container of the new file."""

ENCODERS = {"mp4": "aac", "webm": "libopus"}
"""What others become."""

OPUS_RATE = 48000
"""Samples per second of all Opus sound."""


class _Track:
    """One stream of sound: where its packets come from, and where they go.

    Args:
        source: Stream of the source.
        target: Stream of the new file.
        encoder: What encodes its sound again; None if packets are copied.
    """

    def __init__(self, source: AudioStream, target: AudioStream, encoder: AudioCodecContext | None) -> None:
        self._source = source
        self._target = target
        self._encoder = encoder
        self._unit = Fraction(source.time_base or 1)
        self._last: int | None = None

    def made(self, packet: Packet[AudioStream], shift_seconds: Fraction) -> Iterator[Packet[AudioStream]]:
        """Yield the packets of the new file for one of the source, earlier by ``shift_seconds``; None is the end."""
        shift = round(shift_seconds / self._unit)
        if self._encoder is not None:
            yield from self._encoded(packet, shift)
            return
        dts = packet.pts if packet.dts is None else packet.dts
        if dts is None or (self._last is not None and dts <= self._last):
            return  # containers refuse a packet without a time, or of an earlier one
        self._last = dts
        packet.pts = (dts if packet.pts is None else packet.pts) - shift
        packet.dts = dts - shift
        packet.stream = self._target
        yield packet

    def _encoded(self, packet: Packet[AudioStream], shift: int) -> Iterator[Packet[AudioStream]]:
        try:
            frames = packet.decode()
        except FFMPEG_ERRORS:
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= shift
                yield from self._target.encode(frame)

    def rest(self) -> Iterator[Packet[AudioStream]]:
        """Yield the packets that an encoder still holds."""
        if self._encoder is not None and self._encoder.is_open:
            yield from self._target.encode(None)


class Sound:
    """All sound of a video on its way into a new file.

    Args:
        path: The video, for messages.
        source: The video's file, opened for its sound.
        target: The new file, before its first packet.
        kind: Its container, a key of :data:`ENCODERS`.

    Attributes:
        left_out: Codecs of streams that are left out, since nothing is known of their sound.
    """

    def __init__(self, path: Path | RemotePath, source: InputContainer, target: OutputContainer, kind: str) -> None:
        self.left_out: list[str] = []
        self._path = path
        self._source = source
        self._target = target
        self._tracks: dict[int, _Track] = {}
        for stream in source.streams.audio:
            if (track := _track(stream, target, kind)) is not None:
                self._tracks[stream.index] = track
            else:
                self.left_out.append(_codec_of(stream))
        self._packets = self._all_packets()
        self._next = next(self._packets, None) if self._tracks else None

    def write_until(self, seconds: Fraction | None, shift_seconds: Fraction, first: Fraction | None = None) -> None:
        """Write the packets that begin before a time of the source.

        Args:
            seconds: The time, by the clock of the source; None: to the end.
            shift_seconds: How much earlier they are in the new file.
            first: Time before which packets are left out; None: none.
        """
        while self._next is not None:
            packet = self._next
            stamp = packet.dts if packet.dts is not None else packet.pts
            begin = None if stamp is None else stamp * (packet.time_base or Fraction(1))
            if begin is not None and seconds is not None and begin >= seconds:
                return
            if first is None or begin is None or begin >= first:
                for made in self._tracks[packet.stream_index].made(packet, shift_seconds):
                    self._target.mux(made)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write what encoders still hold."""
        for track in self._tracks.values():
            for packet in track.rest():
                self._target.mux(packet)

    def _all_packets(self) -> Iterator[Packet[AudioStream]]:
        """Yield the packets of all tracks, in the order of the file, up to its end or its damage."""
        streams = [stream for stream in self._source.streams.audio if stream.index in self._tracks]
        for _ in range(MOST_TRIES):
            try:
                for packet in self._source.demux(streams):
                    if packet.size and packet.stream_index in self._tracks:
                        yield packet  # type: ignore[misc]
            except av.error.BlockingIOError:
                continue
            except (*FFMPEG_ERRORS, IndexError):  # PyAV raises the last if streams appear late
                return
            return


def _track(stream: AudioStream, target: OutputContainer, kind: str) -> _Track | None:
    """Add a stream to the new file; None if too little is known of it to do so."""
    context = stream.codec_context
    if context is None or not context.sample_rate or not context.layout.nb_channels:
        return None
    if context.codec.canonical_name in COPIED[kind]:
        copy = target.add_stream_from_template(stream)
        _describe(stream, copy)
        return _Track(stream, copy, None)
    name = ENCODERS[kind]
    rates = av.Codec(name, "w").audio_rates or [context.sample_rate]
    rate = context.sample_rate if context.sample_rate in rates and name != "libopus" else OPUS_RATE
    made = target.add_stream(name, rate=rate)
    assert isinstance(made, AudioStream)
    made.codec_context.layout = "mono" if context.layout.nb_channels == 1 else "stereo"
    _describe(stream, made)
    return _Track(stream, made, made.codec_context)


def _describe(source: AudioStream, target: AudioStream) -> None:
    """Copy what lets a person choose between several streams."""
    if language := source.metadata.get("language"):
        target.metadata["language"] = language


def _codec_of(stream: AudioStream) -> str:
    return "unknown" if stream.codec_context is None else stream.codec_context.codec.canonical_name
