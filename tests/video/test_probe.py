"""Times of frames, the choice of the stream, and the cost of probing."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from nlvid_cli.errors import NoVideoStream, UnreadableVideo
from nlvid_cli.video.info import Header, Orientation
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from tests.clips import copy_packets, decode_all, even_times, make_clip, picture, silence


def test_constant_frame_rate(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", frames=50))
    assert info.times_seconds == pytest.approx(np.arange(50) / 25)
    assert info.facts.duration_seconds == pytest.approx(2.0)
    assert info.facts.frame_rate == pytest.approx(25)
    assert not info.facts.variable_frame_rate
    assert info.warnings == ()


def test_no_picture_waits_for_the_garbage_collector(tmp_path: Path) -> None:
    """Else a long run keeps a decoded picture of each of hundreds of videos."""
    clip = make_clip(tmp_path / "clip.mp4", frames=20)

    def pictures() -> int:
        return sum(type(one) is av.VideoFrame for one in gc.get_objects())

    gc.collect()
    before = pictures()
    gc.disable()
    try:
        info = probe(clip)
        read_frames(info, np.arange(8)[None], 32, threads=1)
        assert pictures() == before
    finally:
        gc.enable()


def test_rounded_time_stamps_are_not_a_variable_rate(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mkv", times=even_times(60, 29.97)))  # 33 and 34 ms
    assert not info.facts.variable_frame_rate
    assert info.facts.frame_rate == pytest.approx(29.97, abs=0.2)  # the last frame's duration is not in the file


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_variable_frame_rate(tmp_path: Path, suffix: str) -> None:
    times = np.cumsum([0] + [20, 20, 20, 100] * 10).tolist()
    codec = "libvpx" if suffix == ".webm" else "libx264"
    info = probe(make_clip(tmp_path / f"clip{suffix}", codec=codec, times=times))
    assert info.facts.variable_frame_rate
    assert info.times_seconds == pytest.approx(np.array(times) / 1000, abs=1e-6)
    assert info.facts.frame_rate == pytest.approx(len(times) / info.facts.duration_seconds)


def test_one_pause_is_a_variable_rate(tmp_path: Path) -> None:
    times = even_times(30) + even_times(30, start=3.0)
    assert probe(make_clip(tmp_path / "clip.mp4", times=times)).facts.variable_frame_rate


@pytest.mark.parametrize(
    ("places", "variable"),
    [
        ([0, 2, 3, 4, 5, 6, 7, 8], False),
        ([0, 2, 3], False),
        ([0, 3, 4, 5, 6, 7, 8, 9], True),
        ([0, 1, 3, 4, 5, 6, 7, 8], True),
        ([0, 2, 3, 5, 6, 7, 8, 9], True),
        ([0, 2], False),
    ],
)
def test_only_a_gap_of_one_frame_after_the_first_is_no_variable_rate(
    tmp_path: Path, places: list[int], variable: bool
) -> None:
    """As FFmpeg guesses the time stamps of packed B-frames in AVI, which it does not encode."""
    info = probe(make_clip(tmp_path / "clip.mp4", times=[40 * place for place in places]))
    assert info.times_seconds == pytest.approx(np.array(places) / 25)
    assert info.facts.variable_frame_rate is variable


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_times_count_from_the_first_frame(tmp_path: Path, suffix: str) -> None:
    info = probe(make_clip(tmp_path / f"clip{suffix}", times=even_times(20, start=7.0)))
    assert info.times_seconds == pytest.approx(np.arange(20) / 25, abs=1e-3)
    assert info.facts.duration_seconds == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("start", [0.0, 7.0])
def test_what_the_header_states(tmp_path: Path, start: float) -> None:
    clip = make_clip(tmp_path / "clip.ts", times=even_times(20, start=start))
    info, whole = probe(clip), probe(make_clip(tmp_path / "clip.mp4", frames=20))
    assert whole.header == Header(12800, 25.0, Fraction(1, 16000), 0)  # 0.8 s
    assert info.header is not None
    assert info.header.unit == Fraction(1, 90000)
    assert info.pts is not None
    assert info.header.first_stamp == info.pts[0]
    assert info.header.first_stamp >= start * 90000


def test_matroska_states_no_duration_of_a_stream(tmp_path: Path) -> None:
    assert probe(make_clip(tmp_path / "clip.mkv", frames=20)).header is None


def test_one_frame(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", frames=1))
    assert info.times_seconds.tolist() == [0]
    assert info.facts.duration_seconds > 0
    assert not info.facts.variable_frame_rate
    assert read_frames(info, np.zeros((2, 3), np.int64), None).frames.shape == (2, 3, 48, 64, 3)


def test_edit_lists_hide_frames(tmp_path: Path) -> None:
    """Frames before the start are in the file, for others to refer to, but are not displayed."""
    whole = make_clip(tmp_path / "whole.mp4", frames=40, gop=40)
    clip = tmp_path / "cut.mp4"
    with av.open(str(whole)) as old, av.open(str(clip), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        unit = stream.time_base or Fraction(1)
        for packet in old.demux(stream):
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts -= round(0.4 / unit)  # the first ten frames lie before zero
                packet.dts -= round(0.4 / unit)
                packet.stream, packet.time_base = copy, unit
                new.mux(packet)
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures) == 30
    frames = read_frames(info, np.arange(30)[None], None).frames[0]
    for frame, expected in zip(frames, pictures, strict=True):
        assert np.array_equal(frame, expected)


def test_hidden_vp8_frames_are_not_counted(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.webm", codec="libvpx", frames=30, gop=30)
    data = clip.read_bytes()
    with av.open(str(clip)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for number in (7, 20):  # clear show_frame, as encoders do for frames that are references only
        hidden = bytes([packets[number][0] & ~0x10]) + packets[number][1:]
        assert data.count(packets[number]) == 1
        data = data.replace(packets[number], hidden)
    clip.write_bytes(data)
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures) == 28
    assert info.pts is not None
    assert np.array_equal(read_frames(info, np.array([[25]]), None).frames[0, 0], pictures[25])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_mpeg4_packets_without_a_picture_are_not_counted(tmp_path: Path, name: str) -> None:
    """A picture that only says "as before" (vop_coded = 0) gives no picture of its own."""
    whole = make_clip(tmp_path / "whole.mkv", codec="mpeg4", frames=20, b_frames=0)
    empty = b"\x00\x00\x01\xb6\x51\x80\x0f"
    clip = tmp_path / name
    with av.open(str(whole)) as old, av.open(str(clip), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            written = packet
            if number in (5, 6):
                written = av.Packet(empty)
                written.pts, written.dts = packet.pts, packet.dts
            written.stream, written.time_base = copy, stream.time_base or Fraction(1)
            new.mux(written)
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures)
    frames = read_frames(info, np.arange(len(pictures))[None], None).frames[0]
    for frame, expected in zip(frames, pictures, strict=True):
        assert np.array_equal(frame, expected)


def test_packets_without_a_picture_are_not_counted(tmp_path: Path) -> None:
    """Here an access unit delimiter alone; fields of interlaced video in packets of their own are alike."""
    whole = make_clip(tmp_path / "whole.mp4", frames=20, b_frames=0)
    clip = tmp_path / "clip.mp4"
    with av.open(str(whole)) as old, av.open(str(clip), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        unit = stream.time_base or Fraction(1)
        for packet in old.demux(stream):
            if packet.size and packet.pts is not None:
                delimiter = av.Packet(b"\0\0\0\2\x09\xf0")
                delimiter.pts = delimiter.dts = packet.pts + round(0.02 / unit)
                for written in (packet, delimiter):
                    written.stream, written.time_base = copy, unit
                    new.mux(written)
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures) == 20
    frames = read_frames(info, np.arange(20)[None], None).frames[0]
    for frame, expected in zip(frames, pictures, strict=True):
        assert np.array_equal(frame, expected)


def make_film_with_cover(path: Path, video_too: bool) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 320, 320, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        sound = container.add_stream("aac", rate=16000)
        film = container.add_stream("libx264", rate=25) if video_too else None
        if film is not None:
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture(99, 320, 320), format="rgb24").reformat(format="yuvj420p")
        frame.pts = 0
        container.mux([*cover.encode(frame), *cover.encode(None)])
        if film is not None:
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(picture(number, 64, 48), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(film.encode(frame))
            container.mux(film.encode(None))
        container.mux(silence(sound, 0.4))
    return path


def test_a_cover_picture_is_not_a_video(tmp_path: Path) -> None:
    info = probe(make_film_with_cover(tmp_path / "film.mp4", video_too=True))
    assert (info.facts.width, info.facts.height, len(info.times_seconds)) == (64, 48, 10)
    with pytest.raises(NoVideoStream, match="cover picture"):
        probe(make_film_with_cover(tmp_path / "song.m4a", video_too=False))


def test_the_better_of_two_video_streams(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, size in zip(streams, ((32, 32), (128, 96)), strict=True):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        streams[1].disposition = Disposition.default
        for number in range(10):
            for stream in streams:
                rgb = picture(number, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    info = probe(path)
    assert (info.facts.width, info.facts.height) == (128, 96)
    _, pictures = decode_all(path, info.stream_index)
    assert np.array_equal(read_frames(info, np.array([[4]]), None).frames[0, 0], pictures[4])


def test_sound_beside_the_video_does_not_matter(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", audio=True))
    assert len(info.times_seconds) == 60


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_metadata_that_is_not_utf8(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", metadata={"title": "Pippi Langstrumpf"}, frames=3)
    data = clip.read_bytes()
    assert b"Langstrumpf" in data
    clip.write_bytes(data.replace(b"Langstrumpf", b"L\xe4ngstr\xffmpf"))
    with pytest.raises(UnicodeDecodeError), av.open(str(clip)):
        pass
    assert len(probe(clip).times_seconds) == 3


def test_frame_counts_in_headers_are_not_used(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=20)
    data = bytearray(clip.read_bytes())
    for at in (data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32):  # dwTotalFrames, dwLength
        assert int.from_bytes(data[at : at + 4], "little") in (20, 800)  # frames, or milliseconds
        data[at : at + 4] = (1000).to_bytes(4, "little")
    clip.write_bytes(data)
    assert len(probe(clip).times_seconds) == 20


@pytest.mark.parametrize("stamp", [None, 0])
def test_missing_and_repeated_time_stamps(tmp_path: Path, stamp: int | None) -> None:
    """NUT and FLV files may have any time stamps; where these are not reliable, pictures are counted."""
    whole = make_clip(tmp_path / "whole.flv", b_frames=0, frames=30)
    with av.open(str(whole)) as container:
        stamps = [(packet.pts, packet.dts) for packet in container.demux(video=0) if packet.size]
    times = {number: (stamps[number - 1][0], stamps[number - 1][1] or 0) for number in (10, 20)}
    clip = copy_packets(whole, tmp_path / "clip.flv", times=times)
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures) == 30
    assert (np.diff(info.times_seconds) >= 0).all()
    frames = read_frames(info, np.array([[5, 10, 11, 29]]), None).frames[0]
    for number, frame in zip((5, 10, 11, 29), frames, strict=True):
        assert np.array_equal(frame, pictures[number])


@pytest.mark.parametrize("later", [0, 311])
def test_recordings_that_were_joined(tmp_path: Path, later: int) -> None:
    """As dashcams and ``cat a.ts b.ts`` make them: the time stamps begin anew, the same ones or others in between."""
    first = make_clip(tmp_path / "first.ts", frames=50)
    with av.open(str(first)) as container:
        stamps = [(packet.pts, packet.dts) for packet in container.demux(video=0) if packet.size]
    times = {n: ((pts or 0) + later, (dts or 0) + later) for n, (pts, dts) in enumerate(stamps)}
    second = copy_packets(first, tmp_path / "second.ts", times=times)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    info = probe(joined)
    _, pictures = decode_all(joined)
    assert len(info.times_seconds) == len(pictures) == 100
    assert info.times_seconds == pytest.approx(np.arange(100) / 25, abs=1e-4)
    (warning,) = info.warnings
    assert "2 recordings" in warning
    frames = read_frames(info, np.array([[5, 49, 50, 99]]), None).frames[0]
    for number, frame in zip((5, 49, 50, 99), frames, strict=True):
        assert np.array_equal(frame, pictures[number])


def test_a_jump_in_time_is_a_warning(tmp_path: Path) -> None:
    stamps = [*range(0, 400, 40), *range(1_700_000_000_000, 1_700_000_000_400, 40)]
    info = probe(make_clip(tmp_path / "clip.mkv", times=stamps))
    assert len(info.times_seconds) == 20
    (warning,) = info.warnings
    assert "jump: no frame for 1700000000 s after 0.4 s" in warning


def test_animated_webp_is_not_reported_as_damaged(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.webp", codec="libwebp_anim", frames=5, b_frames=0)
    with pytest.raises(UnreadableVideo, match="WebP"):
        probe(clip)


@given(st.integers(-200, 200))
def test_orientation_of_slightly_turned_pictures(tenths: int) -> None:
    angle = np.radians(90 + tenths / 10)
    rows = [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    assert Orientation.from_display_matrix((np.array(rows) * 65536).astype(np.int32)).rotation_degrees == 90


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi"])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, name: str) -> None:
    codec, options = ("mpeg4", {}) if name.endswith("avi") else ("libx264", {"preset": "ultrafast", "crf": "40"})
    short = make_clip(tmp_path / name, codec=codec, size=(640, 360), frames=150, gop=50, b_frames=0, options=options)
    long = copy_packets(short, tmp_path / f"long_{name}", repeat=12)
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from nlvid_cli.video.probe import probe; from nlvid_cli.video.read import read_frames\n"
        "info = probe(Path(sys.argv[1])); last = len(info.times_seconds) - 1\n"
        "read_frames(info, np.linspace(0, last, 20).astype(int)[None], 128, threads=2)\n"
        "print(last + 1, next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    frames, peaks = zip(
        *(
            map(int, subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True).stdout.split())
            for path in (short, long)
        ),
        strict=True,
    )
    assert frames == (150, 1800)
    assert peaks[1] < peaks[0] + 16 * 1024  # KiB; one frame of the long file more would be 1650 * 0.3 MiB


def test_missing_time_stamps_are_a_warning(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "raw.h264", frames=10))
    (warning,) = info.warnings
    assert "no time stamps" in warning
    np.testing.assert_allclose(info.times_seconds, np.arange(10) / 25)


@pytest.mark.parametrize("suffix", [".mov", ".avi", ".jpg"])
@pytest.mark.parametrize(
    ("exif", "degrees", "turn"),
    [
        (1, 0, lambda p: p),
        (2, 0, lambda p: p[:, ::-1]),
        (3, 180, lambda p: p[::-1, ::-1]),
        (4, 180, lambda p: p[::-1]),
        (5, 270, lambda p: p.transpose(1, 0, 2)),
        (6, 90, lambda p: np.rot90(p, -1)),
        (7, 90, lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
        (8, 270, np.rot90),
    ],
)
def test_exif_orientation(tmp_path: Path, suffix: str, exif: int, degrees: int, turn: Any) -> None:
    """Of JPEG frames, as cameras write them; with it comes side data that PyAV does not know."""
    jpeg = io.BytesIO()
    data = Image.Exif()
    data[ExifTags.Base.Orientation] = exif
    Image.fromarray(picture(0, 64, 48)).save(jpeg, "JPEG", exif=data)
    clip = tmp_path / f"clip{suffix}"
    if suffix == ".jpg":
        clip.write_bytes(jpeg.getvalue())
    else:
        with av.open(str(clip), "w") as container:
            stream = container.add_stream("mjpeg", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            for number in range(3):
                packet = av.Packet(jpeg.getvalue())
                packet.pts = packet.dts = number
                packet.stream, packet.time_base = stream, Fraction(1, 10)
                container.mux(packet)
    info = probe(clip)
    assert info.facts.rotation_degrees == degrees
    _, pictures = decode_all(clip)
    assert np.array_equal(read_frames(info, np.array([[0]]), None).frames[0, 0], turn(pictures[0]))


def test_side_data_of_unknown_types_is_no_matter() -> None:
    """If this fails after an update of PyAV, see ``_unknown_side_data`` in ``video/probe.py``."""
    unknown = SideDataType(999)
    assert unknown.value == 999
    assert unknown not in list(SideDataType)
    assert SideDataType(6) is SideDataType.DISPLAYMATRIX
