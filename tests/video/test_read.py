"""Pictures are those of a plain decoding from start to end, bit for bit, however they were reached."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from nlvid_cli.errors import FrameTooLarge, UnreadableVideo
from nlvid_cli.video import decode, from_start, payload, read
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import plan_seeks, read_frames
from tests.clips import copy_packets, decode_all, even_times, make_clip, spoil_packet

X265_QUIET = "log-level=none:pools=none:frame-threads=1"
HIDDEN_FRAMES = {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "5"}

CLIPS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264_pyramid.mp4": {"b_frames": 8, "gop": 40, "options": {"x264-params": "b-pyramid=normal:b-adapt=0:ref=4"}},
    "h264_strict_pyramid.mkv": {"b_frames": 3, "gop": 40, "options": {"x264-params": "b-pyramid=strict:b-adapt=0"}},
    "h264_no_b.mp4": {"b_frames": 0, "gop": 30},
    "h264_open_gop.mkv": {"options": {"x264-params": "open-gop=1:bframes=3:b-adapt=0"}},
    "h264_intra_refresh.mp4": {"b_frames": 0, "options": {"x264-params": "intra-refresh=1:keyint=12"}},
    "h264_temporal_direct.mp4": {"gop": 30, "options": {"x264-params": "direct=temporal:bframes=3:weightb=1"}},
    "h264_interlaced.mp4": {"options": {"x264-params": "tff=1:bframes=3"}},
    "h264_slices.mp4": {"size": (128, 96), "options": {"x264-params": "slices=4"}},
    "h264_uneven_times.mp4": {"times": np.cumsum(np.tile([20, 60, 35, 110], 15)).tolist()},
    "h264.ts": {},
    "h264.flv": {},
    "h264.avi": {},
    "h264.h264": {},
    "h265.mp4": {"codec": "libx265", "options": {"x265-params": X265_QUIET + ":open-gop=0"}},
    "h265_open_gop.mkv": {"codec": "libx265", "options": {"x265-params": X265_QUIET + ":open-gop=1:bframes=3"}},
    "h265.hevc": {"codec": "libx265", "options": {"x265-params": X265_QUIET}},
    "vp8_hidden_frames.webm": {"codec": "libvpx", "options": HIDDEN_FRAMES},
    "vp9_hidden_frames.webm": {"codec": "libvpx-vp9", "options": HIDDEN_FRAMES | {"cpu-used": "8"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1"},
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "animation.apng": {"codec": "apng", "pix_fmt": "rgb24"},
    "wmv.wmv": {"codec": "wmv2"},
    "10_bit.mp4": {"pix_fmt": "yuv420p10le"},
    "4_4_4.mp4": {"pix_fmt": "yuv444p"},
    "alpha.mkv": {"codec": "ffv1", "pix_fmt": "yuva420p"},
    "grey.mkv": {"codec": "ffv1", "pix_fmt": "gray"},
    "12_bit.mkv": {"codec": "ffv1", "pix_fmt": "yuv420p12le"},
    "odd_size.mp4": {"pix_fmt": "yuv444p", "size": (65, 47)},
    "bt709_full.mp4": {"colours": (1, 2)},
    "bt2020.mp4": {"colours": (9, 1), "pix_fmt": "yuv420p10le"},
}  # fmt: skip
"""What the made clips are, by file name."""


@pytest.fixture(scope="module", params=CLIPS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / request.param, **CLIPS[request.param])


def assert_exact(info: VideoInfo, wanted: list[int], pictures: list[np.ndarray], threads: int = 2) -> None:
    read_now = read_frames(info, np.array([wanted]), None, threads=threads)
    for number, frame in zip(wanted, read_now.frames[0], strict=True):
        assert np.array_equal(frame, info.orientation.apply(pictures[number])), f"frame {number} is another picture"


@pytest.mark.parametrize("threads", [1, 3])
def test_any_frames_equal_those_of_a_full_decode(clip: Path, threads: int) -> None:
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures)
    rng = np.random.default_rng(0)
    last = len(pictures) - 1
    for wanted in [
        list(range(last + 1)),
        list(range(0, last + 1, 2)),
        [last],
        [0],
        sorted(rng.choice(last + 1, 5, replace=False).tolist()),
        [last // 2, 3, 3, last, 0, 3],
        *([number] for number in rng.choice(last + 1, 8).tolist()),
    ]:
        assert_exact(info, wanted, pictures, threads)


def test_most_clips_are_read_by_seeking(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(info: VideoInfo) -> None:
        raise AssertionError("decoded from the start")

    counted = {"h264.avi", "h264.h264", "h265.hevc", "mpeg4.avi", "mjpeg.avi", "wmv.wmv"}
    monkeypatch.setattr(from_start, "decode_everything", refuse)
    info = probe(clip)
    if clip.name in counted:
        assert info.pts is None
    else:
        read_frames(info, np.array([[1, len(info.times_seconds) - 2]]), None)


def test_seeking_decodes_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "long.mp4", frames=400, gop=20)
    decoded = 0
    strictly = decode._decode_strictly

    def count(packet: av.Packet[av.VideoStream]) -> list[av.VideoFrame]:
        nonlocal decoded
        decoded += 1
        return strictly(packet)

    monkeypatch.setattr(decode, "_decode_strictly", count)
    read_frames(probe(clip), np.array([[105, 107], [305, 307]]), None)
    assert decoded <= 2 * (7 + 1 + 4)  # from the key frame on, and what the decoder holds back to put in order


def test_very_narrow_frames_are_refused(tmp_path: Path) -> None:
    """They would be very long at the short side of the network."""
    info = probe(make_clip(tmp_path / "clip.mkv", codec="ffv1", size=(16, 528), frames=3))
    assert read_frames(info, np.array([[0]]), None).frames.shape == (1, 1, 528, 16, 3)
    with pytest.raises(FrameTooLarge, match="too narrow"):
        read_frames(info, np.array([[0]]), 128)


def test_repeated_frames_share_a_decoding(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=5)
    frames = read_frames(probe(clip), np.array([[0, 1, 2, 3, 4, 0, 1], [4, 4, 4, 4, 4, 4, 4]]), None).frames
    assert frames.shape == (2, 7, 48, 64, 3)
    assert np.array_equal(frames[0, 0], frames[0, 5])
    assert (frames[1] == frames[0, 4]).all()


def test_size_of_the_result(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "wide.mp4", size=(98, 46), frames=3))
    assert read_frames(info, np.array([[0]]), 32).frames.shape == (1, 1, 32, 68, 3)  # 98 * 32 / 46 = 68.2
    info = probe(make_clip(tmp_path / "turned.mp4", size=(98, 46), frames=3, rotation=(90, False, False)))
    assert (info.facts.width, info.facts.height, info.facts.rotation_degrees) == (46, 98, 270)
    assert read_frames(info, np.array([[0]]), 32).frames.shape == (1, 1, 68, 32, 3)


def test_resizing_does_not_depend_on_the_way(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4"))
    everything = read_frames(info, np.arange(60)[None], 30, threads=1).frames[0]
    alone = read_frames(info, np.array([[17], [44], [59]]), 30, threads=4).frames[:, 0]
    assert np.array_equal(alone, everything[[17, 44, 59]])
    native = read_frames(info, np.array([[17]]), None).frames[0, 0].astype(float)
    assert abs(native.mean() - everything[17].mean()) < 1


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("matrix", "red_weight", "blue_weight"),
    [(1, 0.2126, 0.0722), (5, 0.299, 0.114), (2, 0.299, 0.114), (9, 0.2627, 0.0593)],
)
def test_colour_matrix_and_range_are_respected(
    tmp_path: Path, matrix: int, red_weight: float, blue_weight: float, full_range: bool
) -> None:
    """Against the formulas of ITU-R BT.709, BT.601 (also where nothing is declared) and BT.2020."""
    samples = (110, 140, 150)
    offset, luma, chroma = (0, 255, 255) if full_range else (16, 219, 224)
    y, blueness, redness = (samples[0] - offset) / luma, (samples[1] - 128) / chroma, (samples[2] - 128) / chroma
    red, blue = y + 2 * (1 - red_weight) * redness, y + 2 * (1 - blue_weight) * blueness
    green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    info = probe(make_flat_clip(tmp_path / "flat.mkv", samples, matrix, 2 if full_range else 1))
    for short_side in (None, 24):
        picture = read_frames(info, np.array([[0]]), short_side).frames[0, 0]
        assert np.abs(picture - 255 * np.array([red, green, blue])).max() <= 2


def make_flat_clip(path: Path, samples: tuple[int, int, int], matrix: int, colour_range: int) -> Path:
    """One frame of one colour, given as Y, Cb, Cr samples."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.colorspace, stream.color_range = matrix, colour_range
        frame = av.VideoFrame(64, 48, "yuv444p")
        for plane, value in zip(frame.planes, samples, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.colorspace, frame.color_range, frame.pts = matrix, colour_range, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("rotation", "turn", "degrees"),
    [
        ((0, False, False), lambda p: p, 0),
        ((-90, False, False), lambda p: np.rot90(p, -1), 90),
        ((180, False, False), lambda p: np.rot90(p, 2), 180),
        ((90, False, False), lambda p: np.rot90(p, 1), 270),
        ((0, True, False), lambda p: p[:, ::-1], 0),
        ((0, False, True), lambda p: p[::-1], 180),
    ],
)
def test_frames_are_upright(tmp_path: Path, rotation: Any, turn: Any, degrees: int) -> None:
    clip = make_clip(tmp_path / "turned.mp4", frames=3, rotation=rotation)
    info = probe(clip)
    assert info.facts.rotation_degrees == degrees
    _, pictures = decode_all(clip)
    frame = read_frames(info, np.array([[1]]), None).frames[0, 0]
    assert frame.shape[:2] == (info.facts.height, info.facts.width)
    assert np.array_equal(frame, turn(pictures[1]))


def test_damage_in_the_middle(tmp_path: Path) -> None:
    clip = spoil_packet(make_clip(tmp_path / "damaged.mp4", b_frames=0, gop=30), 40, keep=0, at=0)
    info = probe(clip)
    stamps, pictures = decode_all(clip)
    assert len(info.times_seconds) == 60
    assert info.pts is not None
    read_now = read_frames(info, np.arange(60)[None], None)
    assert any("damaged" in warning for warning in read_now.warnings)
    by_stamp = dict(zip(stamps, pictures, strict=True))
    expected = by_stamp[stamps[0]]
    for number, frame in enumerate(read_now.frames[0]):
        expected = by_stamp.get(int(info.pts[number]), expected)
        assert np.array_equal(frame, expected), number
    if len(pictures) < 60:
        assert any("cannot be decoded" in warning for warning in read_now.warnings)


@pytest.mark.parametrize("keep", [0, 40, 200])
def test_damage_in_a_key_frame(tmp_path: Path, keep: int) -> None:
    """A decoder fills the damage from earlier pictures, which a seek would not have decoded."""
    clip = make_clip(tmp_path / "damaged.mp4", size=(128, 96), b_frames=0, gop=20)
    spoil_packet(clip, 40, keep=keep, at=0)
    info = probe(clip)
    stamps, pictures = decode_all(clip)
    assert info.pts is not None
    by_stamp = dict(zip(stamps, pictures, strict=True))
    for wanted in ([41, 45], [50, 59]):
        frames = read_frames(info, np.array([wanted]), None).frames[0]
        for number, frame in zip(wanted, frames, strict=True):
            if int(info.pts[number]) in by_stamp:
                assert np.array_equal(frame, by_stamp[int(info.pts[number])]), number


def test_damage_at_the_start(tmp_path: Path) -> None:
    clip = spoil_packet(
        make_clip(tmp_path / "damaged.mp4", codec="mjpeg", pix_fmt="yuvj420p", frames=10), 0, keep=0, at=0
    )
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures) == 9
    (warning,) = info.warnings
    assert "first 0.04 s" in warning
    read_now = read_frames(info, np.arange(9)[None], None)
    assert read_now.warnings == ()
    for frame, picture in zip(read_now.frames[0], pictures, strict=True):
        assert np.array_equal(frame, picture)


def test_damage_far_from_the_clips_goes_unnoticed(tmp_path: Path) -> None:
    clip = spoil_packet(make_clip(tmp_path / "damaged.mp4", b_frames=0, gop=20), 10)
    info = probe(clip)
    assert read_frames(info, np.array([[45, 50]]), None).warnings == ()


def test_lost_packets(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", gop=20)
    clip = copy_packets(whole, tmp_path / "gap.mkv", drop=range(22, 30))
    info = probe(clip)
    stamps, pictures = decode_all(clip)
    read_now = read_frames(info, np.arange(len(info.times_seconds))[None], None)
    by_stamp = dict(zip(stamps, pictures, strict=True))
    assert info.pts is not None
    for number, frame in enumerate(read_now.frames[0]):
        if int(info.pts[number]) in by_stamp:
            assert np.array_equal(frame, by_stamp[int(info.pts[number])])


def test_nothing_decodes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=10, gop=1)
    for number in range(10):
        spoil_packet(clip, number, keep=0, at=0)
    with pytest.raises(UnreadableVideo, match="no frame"):
        probe(clip)


def test_cut_off_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", container_options={"movflags": "faststart"}, gop=10, frames=100)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert 20 < len(info.times_seconds) < 80
    read_now = read_frames(info, np.arange(len(info.times_seconds))[None], None)
    for number, picture in enumerate(pictures):
        assert np.array_equal(read_now.frames[0, number], picture)


def test_size_changes_within_the_stream(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.ts", frames=20, size=(64, 48), times=even_times(20))
    large = make_clip(tmp_path / "large.ts", frames=20, size=(128, 96), times=even_times(20, start=0.8))
    clip = tmp_path / "both.ts"
    clip.write_bytes(small.read_bytes() + large.read_bytes())
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert {picture.shape for picture in pictures} == {(48, 64, 3), (96, 128, 3)}
    assert len(info.times_seconds) == len(pictures)
    frames = read_frames(info, np.arange(len(pictures))[None], None).frames[0]
    assert frames.shape[1:] == (48, 64, 3)
    for frame, picture in zip(frames, pictures, strict=True):
        if picture.shape == frame.shape:
            assert np.array_equal(frame, picture)
        else:
            assert np.abs(frame.mean((0, 1)) - picture.mean((0, 1))).max() < 2


def test_a_broken_index_is_noticed(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=100, gop=20)
    info = probe(clip)
    _, pictures = decode_all(clip)
    wrong = VideoInfo(**{**vars(info), "key_frames": np.array([0, 7, 33, 68])})  # none but the first is a key frame
    assert_exact(wrong, [8, 35, 36, 70], pictures)


def test_frame_numbers_outside_the_video_are_refused(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", frames=10))
    for wanted in ([[10]], [[-1]], [[]]):
        with pytest.raises(IndexError):
            read_frames(info, np.array(wanted, np.int64), None)


@pytest.mark.parametrize(
    ("wanted", "keys", "expected"),
    [
        ([5, 6, 7], [0, 100], [(0, [5, 6, 7])]),
        ([5, 150], [0, 100], [(0, [5]), (100, [150])]),
        ([90, 95, 105], [0, 100], [(0, [90, 95, 105])]),  # a seek from 95 to 100 saves nothing
        ([5, 105], [10, 100], [(None, [5]), (100, [105])]),  # before the first key frame: from the start
        ([5, 105], [], [(None, [5, 105])]),
        ([250, 620], [0, 250, 500], [(250, [250]), (500, [620])]),
    ],
)
def test_windows_of_time(wanted: list[int], keys: list[int], expected: list[tuple[int | None, list[int]]]) -> None:
    assert [(stretch.start, stretch.wanted) for stretch in plan_seeks(wanted, keys)] == expected


def test_threads_end_with_the_call(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", frames=200))
    before = threading.active_count()
    read_frames(info, np.array([[1, 60, 120, 180]]), None, threads=4)
    assert threading.active_count() == before


FALSE_KEYS: dict[str, dict[str, Any]] = {
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 0},
    "mpeg4_b_frames.mov": {"codec": "mpeg4"},
    "h263.3gp": {"codec": "h263", "size": (176, 144)},
    "mpeg2.mov": {"codec": "mpeg2video"},
    "h264.mp4": {},
    "h264_open_gop.mp4": {"options": {"x264-params": "open-gop=1:bframes=3:b-adapt=0"}},
    "h265.mp4": {"codec": "libx265", "options": {"x265-params": X265_QUIET}},
    "vp9.mp4": {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mpeg4.mkv": {"codec": "mpeg4", "b_frames": 0},
    "h264.mkv": {},
    "vp8.mkv": {"codec": "libvpx"},
}


@pytest.mark.parametrize("opened_by_index", [False, True])
@pytest.mark.parametrize("name", FALSE_KEYS)
def test_false_key_frames_are_noticed(
    tmp_path: Path, name: str, opened_by_index: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MP4 without ``stss``, where every sample is a key frame by definition; Matroska with all blocks marked."""
    clip = make_clip(tmp_path / f"true_{name}", **FALSE_KEYS[name])
    false = tmp_path / name
    if name.endswith(".mkv"):
        copy_packets(clip, false, all_keys=True)
    else:
        assert clip.read_bytes().count(b"stss") == 1
        false.write_bytes(clip.read_bytes().replace(b"stss", b"free"))
    if opened_by_index:
        monkeypatch.setattr(payload, "MIN_FILE_BYTES", 0)
        monkeypatch.setattr(payload, "MIN_BLOCK_BYTES", 0)
    info = probe(false)
    _, pictures = decode_all(false)
    for wanted in ([7], [31, 35], [59], [3, 29, 50]):
        assert_exact(info, wanted, pictures)
        true_frames = read_frames(probe(clip), np.array([wanted]), None).frames
        assert np.array_equal(read_frames(info, np.array([wanted]), None).frames, true_frames)


@pytest.mark.parametrize("name", ["clip.ts", "clip.mkv", "clip.h264", "clip.avi"])
def test_a_start_that_does_not_decode(tmp_path: Path, name: str) -> None:
    even = {"x264-params": "scenecut=0:keyint=30"}
    suffix = ".avi" if name == "clip.avi" else ".mkv"
    whole = make_clip(tmp_path / f"whole{suffix}", frames=100, gop=30, b_frames=0, options=even)
    clip = copy_packets(whole, tmp_path / name, drop=range(10))
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert len(info.times_seconds) == len(pictures) == 70
    assert info.facts.duration_seconds == pytest.approx(2.8, abs=0.041)
    assert_exact(info, [0, 1, 35, 69], pictures)
    if name in ("clip.ts", "clip.mkv"):
        (warning,) = info.warnings
        assert "first 0.80 s" in warning


def test_pauses_are_read_by_seeking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen recording: bursts of frames, long pauses, B-frames whose times go back over a pause."""
    monkeypatch.setattr(from_start, "decode_everything", None)
    times = np.cumsum([40 if number % 11 else 5000 for number in range(120)]).tolist()
    clip = make_clip(tmp_path / "clip.mp4", times=times, gop=30, b_frames=3)
    info = probe(clip)
    _, pictures = decode_all(clip)
    assert info.warnings == ()
    assert_exact(info, [5, 33, 77, 119], pictures)


def test_a_changed_shape_is_a_warning(tmp_path: Path) -> None:
    wide = make_clip(tmp_path / "wide.ts", frames=20, size=(96, 48), times=even_times(20))
    for name, size, words in (("tall", (48, 96), ("48 x 96", "96 x 48")), ("same", (192, 96), ())):
        other = make_clip(tmp_path / f"{name}.ts", frames=20, size=size, times=even_times(20, start=0.8))
        clip = tmp_path / f"wide_and_{name}.ts"
        clip.write_bytes(wide.read_bytes() + other.read_bytes())
        info = probe(clip)
        assert read_frames(info, np.arange(18)[None], 48).warnings == ()
        warnings = read_frames(info, np.arange(len(info.times_seconds))[None], 48).warnings
        assert len(warnings) == bool(words)
        assert all(word in warnings[0] for word in words)


def test_small_videos_take_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(decode, "use_threads", lambda stream, threads: used.append(threads))
    monkeypatch.setattr(read, "use_threads", lambda stream, threads: used.append(threads))
    small = probe(make_clip(tmp_path / "small.mp4", frames=100, gop=20))
    read_frames(small, np.array([[1, 30, 60, 99]]), None, threads=8)
    assert used == [1]
    used.clear()
    monkeypatch.setattr(read, "PIXELS_PER_THREAD", 20 * 64 * 48)
    read_frames(small, np.array([[1, 30, 60, 99]]), None, threads=8)
    assert 1 < len(used) <= 4  # 10 + 20 + 20 + 20 frames at most
