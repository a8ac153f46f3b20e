"""Facts of each real and odd file, and its sampled frames, compared with those of a plain decoding of everything."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli import errors
from nlvid_cli.card.card import Sampling
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import sample
from tests.clips import decode_all


@dataclass(frozen=True)
class Facts:
    """Expected of a file; ``crc`` is that of all its frames, upright, with a short side of 60 pixels."""

    frames: int
    duration_seconds: float
    width: int
    height: int
    rotation_degrees: int
    variable_frame_rate: bool
    warnings: int
    crc: int


FILES: dict[str, Facts | str] = {
    "edge/-video-with-dash-.mp4": Facts(5, 5.0, 1, 1, 0, False, 0, 0x26A35707),
    "edge/av1_video.mkv": Facts(125, 5.0, 640, 360, 0, False, 0, 0xA35879AD),
    "edge/bigbuckbunny.mp4": Facts(132, 5.28, 1280, 720, 0, False, 0, 0x5A2ECE4D),
    "edge/bt2020_10bit.mp4": Facts(60, 2.0, 320, 240, 0, False, 0, 0xF9210DE5),
    "edge/bt709_full_range.mp4": Facts(30, 1.0, 1280, 720, 0, False, 0, 0x7335D74F),
    "edge/corrupted.mp4": Facts(50, 5.0, 1280, 720, 0, False, 2, 0x978B1E8E),
    "edge/h264_10bits.mp4": Facts(30, 1.0, 200, 200, 0, False, 0, 0x0852B309),
    "edge/h265_video.mp4": Facts(10, 1.0, 128, 128, 0, False, 0, 0x5CAC9512),
    "edge/nasa_13013.mp4": Facts(390, 13.013, 480, 270, 0, False, 0, 0xFBD366D3),
    "edge/nasa_13013_rotated.mp4": Facts(17, 0.567, 270, 480, 270, False, 0, 0x63DF705A),
    "edge/realshort.mp4": Facts(36, 1.199, 320, 240, 0, False, 0, 0x0704DB33),
    "edge/result.webm": "UnreadableVideo: empty file (0 bytes)",
    "edge/scene_cuts.mp4": Facts(250, 10.0, 1280, 272, 0, False, 0, 0x3E02FB73),
    "edge/test_non_zero_start.mp4": Facts(12, 0.4, 200, 112, 0, False, 0, 0x4EA6291B),
    "edge/test_video.mp4": Facts(13, 1.083, 40, 30, 0, False, 0, 0x32B2CBD2),
    "edge/test_video_66x50.mov": Facts(82, 1.367, 66, 50, 0, False, 0, 0x1BA1B1C9),
    "edge/testsrc2_av1_10bit.mp4": Facts(25, 1.0, 320, 240, 0, False, 0, 0x2FA6859A),
    "edge/testsrc2_mpeg4.avi": Facts(30, 1.0, 1280, 720, 0, False, 0, 0x6D6DCCA6),
    "edge/testsrc2_mpeg4.mp4": Facts(1, 0.04, 64, 64, 0, False, 0, 0xBE70383F),
    "edge/testsrc2_odd_height_and_width_444.mp4": Facts(25, 1.0, 321, 241, 0, False, 0, 0x7D3C4E1C),
    "edge/testsrc2_odd_height_and_width_vp9.mp4": Facts(25, 1.0, 321, 241, 0, False, 0, 0x1CD57013),
    "edge/testsrc2_vp8.webm": Facts(30, 1.0, 1280, 720, 0, False, 0, 0xFE71E928),
    "edge/unordered.mov": Facts(4, 0.125, 50, 50, 0, False, 0, 0xE766948F),
    "edge/video_0.mov": Facts(3, 0.1, 568, 320, 0, False, 0, 0x3A661A29),
    "edge/video_180.mov": Facts(3, 0.1, 568, 320, 180, False, 0, 0x451A1005),
    "edge/video_270.mov": Facts(3, 0.1, 320, 568, 270, False, 0, 0x67295AF2),
    "edge/video_90.mov": Facts(3, 0.1, 320, 568, 90, False, 0, 0xAA9FB7FB),
    "edge/video_with_failing_audio.mp4": Facts(280, 11.2, 640, 360, 0, False, 0, 0x7BCBB63F),
    "action/R6llTwEh07w.mp4": Facts(303, 10.1, 340, 256, 0, False, 0, 0xFFCAB921),
    "action/RATRACE_wave_f_nm_np1_fr_goo_37.avi": Facts(72, 2.433, 560, 240, 0, False, 0, 0x38DF0EC4),
    "action/S001C001P001R001A001_rgb.avi": Facts(103, 3.433, 1920, 1080, 0, False, 0, 0x446CBF50),
    "action/arm_wrestling.mp4": Facts(280, 10.0, 340, 256, 0, False, 0, 0x215A2B77),
    "action/flipping_a_pancake.mkv": Facts(310, 10.333, 426, 240, 0, False, 0, 0x6203254C),
    "action/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": Facts(
        83, 2.8, 320, 240, 0, False, 0, 0x562278D0
    ),
    "action/kinetics-i3d__v_CricketShot_g04_c01_rgb.gif": Facts(79, 3.16, 224, 224, 0, False, 0, 0xBC3AFF12),
    "action/v_ApplyEyeMakeup_g01_c01.avi": Facts(164, 6.56, 320, 240, 0, False, 0, 0x3CF849EA),
    "action/v_GGSY1Qvo990.mp4": Facts(355, 18.094, 320, 240, 0, False, 0, 0xC8206B0D),
    "action/v_SoccerJuggling_g23_c01.avi": Facts(240, 8.008, 320, 240, 0, False, 0, 0x193F8770),
}
"""By path in the folder of real clips; an error is its class and its message."""

DAMAGED = "edge/corrupted.mp4"

QUICK_PLANS = [(3, 8, 8)]
PLANS = [(10, 32, 2), *QUICK_PLANS, (25, 1, 1), (1, 64, 1)]
"""Clips, frames, step."""


DECODABLE = [name for name, facts in FILES.items() if isinstance(facts, Facts)]


@cache
def probed(path: Path) -> VideoInfo:
    return probe(path)


@pytest.fixture
def path(shared: Path, name: str) -> Path:
    return shared / "videos" / name


def test_the_table_is_complete(shared: Path) -> None:
    there = {
        f"{folder}/{path.name}" for folder in ("edge", "action") for path in (shared / "videos" / folder).iterdir()
    }
    assert there - {"action/labels.csv"} == FILES.keys()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FILES)
def test_each_file_gives_what_the_table_says(path: Path, name: str) -> None:
    expected = FILES[name]
    if isinstance(expected, str):
        kind, message = expected.split(": ", 1)
        with pytest.raises(getattr(errors, kind), match=re.escape(message)):
            probe(path)
        return
    info = probed(path)
    frames = read_frames(info, np.arange(len(info.times_seconds))[None], 60)
    crc = 0
    for frame in frames.frames[0]:
        crc = zlib.crc32(np.ascontiguousarray(frame), crc)
    assert expected == Facts(
        len(info.times_seconds),
        round(info.facts.duration_seconds, 3),
        info.facts.width,
        info.facts.height,
        info.facts.rotation_degrees,
        info.facts.variable_frame_rate,
        len(info.warnings) + len(frames.warnings),
        crc,
    )


@pytest.mark.parametrize("name", DECODABLE)
def test_times_are_sensible(path: Path, name: str) -> None:
    info = probed(path)
    assert info.times_seconds[0] == 0
    assert (np.diff(info.times_seconds) > 0).all()
    assert info.facts.duration_seconds > info.times_seconds[-1]
    assert info.facts.frame_rate == pytest.approx(len(info.times_seconds) / info.facts.duration_seconds)


@pytest.mark.parametrize("name", DECODABLE)
def test_sampled_frames_equal_those_of_decoding_everything(path: Path, name: str) -> None:
    compare_sampled_frames(path, name, QUICK_PLANS)


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODABLE)
def test_sampled_frames_of_more_plans_equal_those_of_decoding_everything(path: Path, name: str) -> None:
    compare_sampled_frames(path, name, PLANS)


def compare_sampled_frames(path: Path, name: str, plans: list[tuple[int, int, int]]) -> None:
    info = probed(path)
    by_number = plain_decoding(info)
    assert name == DAMAGED or len(by_number) == len(info.times_seconds)
    for clips, frames, step in plans:
        rules = Sampling(frames=frames, step=step, clips=clips, clip_starts="ends", short_video="loop")
        wanted = np.unique(sample(info, rules).frame_numbers)
        pictures = read_frames(info, wanted[None], None).frames[0]
        for number, picture in zip(wanted.tolist(), pictures, strict=True):
            expected = next(by_number[earlier] for earlier in range(number, -1, -1) if earlier in by_number)
            assert zlib.crc32(np.ascontiguousarray(picture)) == expected, f"frame {number}"


@cache
def plain_decoding(info: VideoInfo) -> dict[int, int]:
    """CRC of the upright picture by frame number; in a damaged file numbers may be missing."""
    stamps, pictures = decode_all(info.path, info.stream_index)
    crcs = [zlib.crc32(np.ascontiguousarray(info.orientation.apply(picture))) for picture in pictures]
    if len(crcs) == len(info.times_seconds):
        return dict(enumerate(crcs))
    assert info.pts is not None
    numbers = {int(pts): number for number, pts in enumerate(info.pts)}
    return {numbers[stamp]: crc for stamp, crc in zip(stamps, crcs, strict=True) if stamp is not None}
