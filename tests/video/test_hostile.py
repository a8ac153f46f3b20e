"""Files made to do harm: each is refused with a sentence, and nothing but the file itself is read."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from nlvid_cli.errors import (
    ForbiddenFormat,
    FrameTooLarge,
    NlvidError,
    NoVideoStream,
    UnreadableVideo,
    VideoError,
    VideoNotFound,
)
from nlvid_cli.video.container import FORBIDDEN_FORMATS, MAX_FRAME_PIXELS, _allowed_formats
from nlvid_cli.video.probe import probe
from tests.clips import make_clip, png


class Listener:
    """A local server that counts connections."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.visits = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.close()


@pytest.fixture
def bait(tmp_path: Path) -> Path:
    """A real video that a hostile file points at; reading it would change its access time."""
    path = make_clip(tmp_path / "bait.ts", frames=10)
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    return path


HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
    '<Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>"
)


@pytest.mark.parametrize("suffix", [".m3u8", ".mp4", ".ffconcat", ".mpd", ".txt", ""])
@pytest.mark.parametrize("text", [HLS, CONCAT, DASH])
def test_play_lists_are_not_followed(tmp_path: Path, bait: Path, listener: Listener, text: str, suffix: str) -> None:
    for target in (bait.name, str(bait), bait.as_uri(), f"http://127.0.0.1:{listener.port}/x.ts", f"concat:{bait}"):
        path = tmp_path / f"list{suffix}"
        path.write_text(text.format(target))
        with pytest.raises(ForbiddenFormat, match="other files"):
            probe(path)
    assert bait.stat().st_atime_ns == 0
    assert listener.visits == 0


def test_a_play_list_would_be_followed_without_the_fences(tmp_path: Path, bait: Path) -> None:
    """Otherwise the tests above show nothing."""
    path = tmp_path / "list.m3u8"
    path.write_text(HLS.format(bait.name))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1


@pytest.mark.parametrize("suffix", [".sdp", ".mp4"])
def test_stream_descriptions_are_not_followed(tmp_path: Path, listener: Listener, suffix: str) -> None:
    path = tmp_path / f"stream{suffix}"
    path.write_text(SDP.format(port=listener.port))
    with pytest.raises(ForbiddenFormat, match="SDP"):
        probe(path)
    assert listener.visits == 0


def test_data_references_of_a_mov_are_not_followed(tmp_path: Path, listener: Listener) -> None:
    """A 'dref' box that says that the samples are in another file, or behind an address."""
    for kind, target in ((b"url ", f"http://127.0.0.1:{listener.port}/x"), (b"url ", "file:///etc/hostname")):
        clip = make_clip(tmp_path / "clip.mov", frames=5, container_options={"movflags": "faststart"})
        data = clip.read_bytes()
        at = data.index(b"dref")
        old = data[at - 4 : at - 4 + struct.unpack(">I", data[at - 4 : at])[0]]
        entry = struct.pack(">I", 12 + len(target) + 1) + kind + b"\0\0\0\0" + target.encode() + b"\0"
        new = struct.pack(">I", 16 + len(entry)) + b"dref" + b"\0\0\0\0\0\0\0\1" + entry
        clip.write_bytes(grow_boxes(data, at - 4, len(old), new))
        before = Path("/etc/hostname").stat().st_atime_ns
        with contextlib.suppress(VideoError):  # samples from the file itself would be as good as an error
            info = probe(clip)
            assert (info.facts.width, info.facts.height) == (64, 48)
        assert Path("/etc/hostname").stat().st_atime_ns == before
    assert listener.visits == 0


def grow_boxes(data: bytes, at: int, length: int, new: bytes) -> bytes:
    """Replace ``length`` bytes at ``at``, and correct the sizes of all boxes around them."""
    change = bytearray(data)
    position, end, places = 0, len(data), []
    while position < end:
        size, _ = struct.unpack(">I4s", data[position : position + 8])
        if position <= at < position + size:
            places.append(position)
            if position == at:
                break
            position, end = position + 8, position + size
        else:
            position += size
    for place in places[:-1]:
        size = struct.unpack(">I", data[place : place + 4])[0]
        change[place : place + 4] = struct.pack(">I", size + len(new) - length)
    return bytes(change[:at]) + new + bytes(change[at + length :])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"Once upon a time there was a film.\n" * 100),
        ("video.mp4", b"Once upon a time there was a film.\n" * 100),
        ("zeros.mp4", bytes(10_000)),
        ("page.html", b"<!doctype html><title>404</title>"),
        ("archive.mp4", b"PK\x03\x04" + bytes(1000)),
        ("script.avs", b'DirectShowSource("/etc/hostname")\n'),
        ("art.ans", b"\x1b[31mred" * 200),
        ("raw.yuv", bytes(200_000)),
    ],
)
def test_files_that_are_not_videos(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        probe(path)
    assert "\n" not in str(caught.value)
    assert str(path) not in str(caught.value)


def test_names_of_picture_series_do_not_open_a_series(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"img{number:03}.png").write_bytes(png(32, 32) if number != 1 else png(16, 16))
    with pytest.raises(VideoError):
        probe(tmp_path / "img%03d.png")
    (tmp_path / "img%03d.png").write_bytes(png(16, 16))
    for name in ("img%03d.png", "img001.png"):
        info = probe(tmp_path / name)
        assert (len(info.times_seconds), info.facts.width) == (1, 16)


@pytest.mark.parametrize(
    "name",
    ["-x.mp4", "a:b.mp4", "http:x.mp4", "clip%03d.mp4", "Füße 走.mp4", "concat:a|b.mp4", "pipe:0", "%s%n.mp4", " .mp4"],
)
def test_odd_names_are_just_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "clip.mp4", frames=3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(probe(tmp_path / name).times_seconds) == 3
    assert len(probe(Path(name)).times_seconds) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/clip\xff\xfe.mp4")
    os.rename(make_clip(tmp_path / "clip.mp4", frames=3), name)
    assert len(probe(Path(name)).times_seconds) == 3
    with pytest.raises(VideoNotFound):
        probe(Path(name + "x"))


def test_paths_that_are_not_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, message in [
        (tmp_path, "folder"),
        (tmp_path / "pipe.mp4", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / "none.mp4", "no such file"),
        (tmp_path / "none" / "none.mp4", "no such file"),
        (Path("http://127.0.0.1/x.mp4"), "no such file"),
        (tmp_path / ("x" * 300), "accessible"),
        (Path("a\0b"), "accessible"),
    ]:
        with pytest.raises(VideoNotFound, match=message):
            probe(path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.webm").touch()
    with pytest.raises(UnreadableVideo, match="empty file"):
        probe(tmp_path / "empty.webm")


def test_files_without_a_video_stream(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as container:
        from tests.clips import silence

        stream = container.add_stream("aac", rate=16000)
        container.mux(silence(stream, 1))
    with pytest.raises(NoVideoStream, match="only audio"):
        probe(tmp_path / "sound.m4a")


def test_every_format_that_points_elsewhere_is_forbidden() -> None:
    allowed = set(_allowed_formats().split(","))
    assert {"mov", "matroska", "webm", "avi", "mpegts", "gif", "flv", "asf", "ogg"} <= allowed
    assert not allowed & FORBIDDEN_FORMATS
    without_file = {"alsa", "fbdev", "image2", "kmsgrab", "lavfi", "oss", "rtp", "rtsp", "sap", "v4l2", "x11grab"}
    assert not allowed & (without_file | {"hls", "dash", "concat", "imf", "sdp", "tty", "mlv", "vobsub"})


def test_8k_is_not_too_large() -> None:
    assert MAX_FRAME_PIXELS >= 7680 * 4320


BOMBS = {
    "bomb.png": lambda: png(60_000, 60_000),
    "large.png": lambda: png(16_000, 16_000),
    "bomb.gif": lambda: b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\xf0\0\0" + bytes(6)
    + b"\x2c" + struct.pack("<HHHH", 0, 0, 60_000, 60_000) + b"\0\x02\x02\x44\x01\0;",
    "bomb.y4m": lambda: b"YUV4MPEG2 W60000 H60000 F25:1 C420\nFRAME\n" + bytes(100),
}  # fmt: skip


def patched_size(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> bytes:
    """A small clip whose container header claims 60000 x 60000."""
    data = make_clip(tmp_path / name, codec=codec, pix_fmt=pix_fmt, frames=3, size=(344, 292)).read_bytes()
    if name.endswith((".mov", ".mp4")):
        old, new = struct.pack(">HH", 344, 292), struct.pack(">HH", 60_000, 60_000)
    elif name.endswith(".avi"):
        old, new = struct.pack("<II", 344, 292), struct.pack("<II", 60_000, 60_000)
    else:  # Matroska: PixelWidth and PixelHeight, two bytes each
        data = data.replace(b"\xb0\x82" + struct.pack(">H", 344), b"\xb0\x82" + struct.pack(">H", 60_000))
        old, new = b"\xba\x82" + struct.pack(">H", 292), b"\xba\x82" + struct.pack(">H", 60_000)
    assert old in data
    return data.replace(old, new)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bomb.png", "FrameTooLarge"),
        ("large.png", "FrameTooLarge"),
        ("bomb.gif", "FrameTooLarge"),
        ("bomb.y4m", "UnreadableVideo"),  # FFmpeg does not open it at all
        ("ffv1.mkv", "UnreadableVideo"),  # FFmpeg forgets the size
        # codecs that carry the size in the stream are right against their container
        ("h264.mp4", "fine 344 292"),
        ("h264.mkv", "fine 344 292"),
        ("mjpeg.mov", "fine 344 292"),
        ("mjpeg.avi", "fine 344 292"),
        ("vp9.webm", "fine 344 292"),
        ("av1.mp4", "fine 344 292"),
    ],
)
def test_decompression_bombs(tmp_path: Path, name: str, expected: str) -> None:
    codec = {"h264": "libx264", "vp9": "libvpx-vp9", "av1": "libsvtav1"}.get(name.split(".")[0], name.split(".")[0])
    path = tmp_path / name
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path.write_bytes(BOMBS[name]() if name in BOMBS else patched_size(tmp_path, name, codec, pix_fmt))
    code = (
        "import sys; from pathlib import Path; from nlvid_cli.video.probe import probe\n"
        "try: info = probe(Path(sys.argv[1])); print('fine', info.facts.width, info.facts.height)\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    outcome, peak_kib = done.stdout.splitlines()
    assert outcome == expected
    assert time.monotonic() - begin < 10
    assert int(peak_kib) < 300 * 1024


def test_errors_have_a_common_root() -> None:
    assert issubclass(FrameTooLarge, VideoError)
    assert issubclass(VideoError, NlvidError)
