"""Videos made on the spot, each with the one oddity that a test is about.

Every frame differs visibly from every other, so that a picture tells which frame it is.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

TICKS = 1000
"""Time base of made clips: 1 / TICKS seconds, unless the container has its own."""


def picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Frame ``number``: a sliding pattern with some noise, (height, width, 3)."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    slide = np.stack([x * 3 + number * 7, y * 5 + number * 11, (x + y) * 2 + number * 13], axis=-1) % 256
    return np.clip(slide + rng.integers(-8, 9, slide.shape), 0, 255).astype(np.uint8)


def even_times(frames: int, rate: float = 25.0, start: float = 0.0) -> list[int]:
    """Time stamps, in ticks, of a constant frame rate."""
    return [round((start + number / rate) * TICKS) for number in range(frames)]


def make_clip(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = 60,
    size: tuple[int, int] = (64, 48),
    times: Sequence[int] | None = None,
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 2,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    container_format: str | None = None,
    rotation: tuple[float, bool, bool] | None = None,
    colours: tuple[int, int] | None = None,
    audio: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Encode a clip of :func:`picture` frames.

    Args:
        path: to write to; its suffix chooses the container.
        codec: name of an encoder.
        frames: number of them.
        size: width and height in pixels.
        times: time stamp of each frame in ticks; None is 25 frames per second.
        pix_fmt: pixel format that is encoded.
        gop: frames from one key frame to the next at most.
        b_frames: between two others at most.
        options: of the encoder.
        container_options: of the muxer.
        container_format: where the suffix does not tell.
        rotation: counter-clockwise degrees, horizontal flip, vertical flip of the display matrix.
        colours: numbers of the colour matrix and the colour range (ITU-T H.273) to write down.
        audio: add a stream of silence.
        metadata: of the container.
    """
    times = times or even_times(frames)
    with av.open(
        str(path),
        "w",
        format=container_format,
        options=dict(container_options or {}),
        metadata_errors="surrogateescape",
    ) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = (
            Fraction(1, 25) if codec in ("mpeg4", "gif", "mpeg2video") else Fraction(1, TICKS)
        )
        stream.gop_size = gop
        stream.codec_context.thread_count = 1
        if "264" in codec or codec in ("mpeg4", "mpeg2video"):
            stream.max_b_frames = b_frames
        stream.options = dict(options or {})
        if colours:
            stream.colorspace, stream.color_range = colours
        if rotation:
            stream.set_display_rotation(rotation[0], hflip=rotation[1], vflip=rotation[2])
        sound = container.add_stream("aac", rate=16000) if audio else None
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24").reformat(format=pix_fmt)
            if colours:
                frame = frame_with_colours(frame, *colours)
            frame.pts, frame.time_base = time, Fraction(1, TICKS)
            if codec in ("mpeg4", "gif", "mpeg2video"):
                frame.pts, frame.time_base = round(time * 25 / TICKS), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(silence(sound, times[-1] / TICKS + 0.1))
    return path


def frame_with_colours(frame: av.VideoFrame, matrix: int, colour_range: int) -> av.VideoFrame:
    """The same samples, declared to be of this matrix and range."""
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame


def silence(stream: av.AudioStream, seconds: float) -> Iterator[av.Packet[av.AudioStream]]:
    """Packets of a silent sound track."""
    samples = 1024
    for number in range(int(seconds * 16000 / samples) + 1):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, number * samples, Fraction(1, 16000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def late_sound(path: Path, frames: int) -> Path:
    """An FLV file whose header announces no sound, and whose sound begins after the video: as live streams have it."""
    make_clip(path, frames=frames, options={"preset": "ultrafast"})
    flv = bytearray(path.read_bytes())
    body = bytes([0xAF, 1]) + bytes(200)
    sound = bytes([8]) + len(body).to_bytes(3) + (frames * 40).to_bytes(3) + bytes(4) + body
    flv += sound + len(sound).to_bytes(4)
    path.write_bytes(flv)
    return path


def copy_packets(
    source: Path,
    target: Path,
    *,
    drop: Iterable[int] = (),
    times: Mapping[int, tuple[int | None, int]] | None = None,
    repeat: int = 1,
    all_keys: bool = False,
    container_format: str | None = None,
) -> Path:
    """Write the packets of a video again, undecoded.

    Args:
        source: video to read.
        target: file to write.
        drop: numbers of packets, in the order of the file, that are left out.
        times: new (pts, dts) by packet number.
        repeat: how often all the packets are written, one copy after the other in time.
        all_keys: mark all packets as key frames.
        container_format: where the suffix does not tell.
    """
    left_out = set(drop)
    with av.open(str(source)) as old, av.open(str(target), "w", format=container_format) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        packets = [packet for packet in old.demux(stream) if packet.size]
        stamps = [(packet.pts, packet.dts) for packet in packets]
        first = min(pts for pts, _ in stamps if pts is not None)
        length = max(pts + (packet.duration or 0) for packet, (pts, _) in zip(packets, stamps, strict=True)) - first
        unit = stream.time_base
        for turn in range(repeat):
            for number, (packet, (pts, dts)) in enumerate(zip(packets, stamps, strict=True)):
                if number in left_out:
                    continue
                pts, dts = (times or {}).get(number, (pts, dts))
                packet.time_base = unit
                packet.pts = None if pts is None else pts + turn * length
                packet.dts = None if dts is None else dts + turn * length
                packet.stream = copy
                packet.is_keyframe |= all_keys
                new.mux(packet)
    return target


def spoil_packet(path: Path, number: int, keep: int = 16, at: float = 0.2) -> Path:
    """Overwrite the middle of one packet of a file with garbage, in place."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start, size = packets[number].pos, packets[number].size
    data = bytearray(path.read_bytes())
    begin = start + max(keep, int(size * at))
    data[begin : start + size] = np.random.default_rng(1).integers(0, 256, start + size - begin, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def png(width: int, height: int) -> bytes:
    """A PNG file of any claimed size, with next to no pixels in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * min(height * (width * 3 + 1), 100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def decode_all(path: Path, stream_index: int | None = None) -> tuple[list[int | None], list[NDArray[np.uint8]]]:
    """Time stamps and pictures (as decoded, not turned) of a plain decoding from start to end.

    In one thread: with slice threads, which are PyAV's default, FFmpeg does not conceal damage, so that the pictures of
    damaged files would depend on the number of processors.
    """
    stamps, pictures = [], []
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        stream = container.streams[stream_index] if stream_index is not None else container.streams.video[0]
        stream.codec_context.thread_count = 1
        packets = []
        # where the demuxer gives up, a player shows what it has; PyAV itself fails over streams that appear late
        with contextlib.suppress(av.error.FFmpegError, MemoryError, IndexError):
            for packet in container.demux(stream):
                if packet.size and packet.stream_index == stream.index:
                    packets.append(packet)
        last = av.Packet()
        last.stream = stream
        for packet in [*packets, last]:
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                stamps.append(frame.pts)
                pictures.append(frame.to_ndarray(format="rgb24"))
    return stamps, pictures
