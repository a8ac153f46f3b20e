from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.video.signatures import HEAD_BYTES, begins_like_video
from tests.clips import make_clip


def _head(path: Path) -> bytes:
    return path.read_bytes()[:HEAD_BYTES]


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "mpeg4"), ("mov", "mpeg4"), ("3gp", "mpeg4"), ("matroska", "mpeg4"), ("webm", "libvpx"),
        ("avi", "mpeg4"), ("asf", "mpeg4"), ("flv", "libx264"), ("mpegts", "mpeg2video"), ("dvd", "mpeg2video"),
        ("mpeg", "mpeg2video"), ("vcd", "mpeg2video"), ("mpeg2video", "mpeg2video"), ("m4v", "mpeg4"),
        ("h264", "libx264"), ("hevc", "libx265"), ("obu", "libsvtav1"), ("ivf", "libvpx"), ("nut", "mpeg4"),
        ("ogv", "libvpx"), ("mxf", "mpeg2video"), ("yuv4mpegpipe", "rawvideo"), ("gif", "gif"),
    ],
)  # fmt: skip
def test_what_ffmpeg_writes(tmp_path: Path, container: str, codec: str) -> None:
    pixels = "rgb8" if codec == "gif" else "yuv420p"
    path = make_clip(tmp_path / "a", container_format=container, codec=codec, frames=3, pix_fmt=pixels)
    assert begins_like_video(_head(path))


@pytest.mark.parametrize("junk", [0, 1, 100, 1000])
@pytest.mark.parametrize("size", [188, 192, 204])
def test_transport_streams_of_all_packet_sizes_that_begin_anywhere(junk: int, size: int) -> None:
    packet = b"G\x01\x00\x10".ljust(188, b"\xff").rjust(size, b"\0")
    assert begins_like_video(bytes(junk) + packet * 20)
    assert begins_like_video((packet * 20)[junk:])


@pytest.mark.parametrize(
    "head",
    [
        b"", b"G", b"G" * HEAD_BYTES, bytes(HEAD_BYTES), b"The free encyclopedia\n", b"Let moov be 1",
        b"import G from 'g';\n" * 300, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\0\x10JFIF", b"PK\3\4", b"ID3\4",
        b"OggS",
        b"RIFF\0\0\0\0WAVEfmt ", b"RIFF\0\0\0\0WEBPVP8X", b"fLaC", b"#!/bin/sh\n", b"%PDF-1.7", b"\x7fELF\2\1\1",
        b"\0\0\0\x1cftypheic", b"\0\0\0\x1cftypavif", b"\0\0\0\x20ftypM4A ", b"\0\0\0\x0cjP  \r\n\x87\n",
        b"OggS\0\2" + bytes(20) + b"\x01\x1e\x01vorbis" + bytes(23),
        b"OggS\0\2" + bytes(20) + b"\x01\x13OpusHead" + bytes(11) + b"OggS\0\0" + bytes(20) + b"\x01\x07\x80theora",
    ],
)  # fmt: skip
def test_other_files(head: bytes) -> None:
    assert not begins_like_video(head)


def test_ogg_with_sound_first() -> None:
    sound = b"OggS\0\2" + bytes(20) + b"\x01\x1e\x01vorbis" + bytes(23)
    pictures = b"OggS\0\2" + bytes(20) + b"\x01\x07\x80theora"
    assert begins_like_video(sound + pictures)
    assert begins_like_video(b"OggS\0\2" + bytes(20) + b"\x01\x09\x01video\0\0\0")


def test_files_of_video_cds() -> None:
    assert begins_like_video(b"RIFF\0\0\0\0CDXAfmt ")
    assert begins_like_video(b"\0\0\0\x1cftypavis")  # moving AVIF
    assert begins_like_video(b"\0\0\0\x08wide\0\0\0\0mdat")
