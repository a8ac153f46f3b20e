"""Files of real life, one of each kind that other tools and earlier versions got wrong, against a plain decoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli import errors
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from tests.clips import decode_all


@dataclass(frozen=True)
class Expected:
    """Frames and duration of a file, pictures of a plain decoding if these are fewer, and words of its warnings."""

    frames: int
    duration_seconds: float
    warnings: tuple[str, ...] = ()
    pictures: int | None = None


CUT_OFF, DAMAGED, STAND_IN = "cut off or damaged", "is damaged", "wanted frames"

FILES: dict[str, Expected | str] = {
    # side data of types that PyAV does not know
    "exif_mjpeg.avi": Expected(20, 2.0),
    "exif_mjpeg.mov": Expected(20, 2.0),
    "hevc__multiview.mp4": Expected(11, 0.367),
    "water_180_mvhevc_5frames.mov": Expected(5, 0.056),
    "sample_still_photo.heic": Expected(1, 1.0),
    # streams that appear after opening
    "audio_from_12s.flv": Expected(400, 16.0),
    "truncated.flv": Expected(89, 3.56),
    "bitflips.m2ts": Expected(149, 6.0, (DAMAGED, STAND_IN), 148),
    # demuxers that end with an error
    "PVA_test-partial.pva": Expected(37, 1.48, (CUT_OFF, "first 0.68 s", DAMAGED)),
    "SMM0005.rcv": Expected(24, 24.0, (CUT_OFF, "no time stamps")),
    "bitflips.ogv": Expected(1, 0.04, (CUT_OFF,)),
    "garbage.gxf": Expected(22, 0.84, (CUT_OFF, DAMAGED)),
    "garbage.mpjpeg": Expected(8, 0.32, (CUT_OFF, STAND_IN), 7),
    "op-partial.cpk": Expected(9, 0.375, (CUT_OFF,)),
    "spygames_truncated.rm": Expected(177, 7.382, (CUT_OFF,)),
    "trunc_rv20.rm": Expected(144, 5.76, (CUT_OFF,)),
    "truncated.apng": Expected(50, 2.0, (CUT_OFF, STAND_IN), 49),
    "zeros.wtv": Expected(135, 5.4, (CUT_OFF,)),
    "zeros.y4m": Expected(25, 1.0, (CUT_OFF,)),
    # false key frames
    "mpeg4_without_stss.mp4": Expected(1202, 80.133),
    "h263_without_stss.3gp": Expected(602, 40.133),
    # starts that do not decode
    "starts_mid_gop.ts": Expected(750, 30.0, ("first 8.04 s",)),
    "mp4-init-nonkeyframe.mp4": Expected(27, 0.901, ("first 3.10 s",)),
    "cut_open_gop.mpg": Expected(365, 14.6, ("first 0.08 s",)),
    # pauses
    "pauses_with_b_frames.mp4": Expected(1620, 58.0),
    # sizes
    "size_changes_shape.webm": Expected(200, 8.0, ("shape of its frames changes (240 x 426)",)),
    "photo.jpg": Expected(1, 0.04),
    # what no one can decode
    "draw_points_idat_progressive.avif": "UnreadableVideo: not yet implemented",
    "no_moov_yet.mp4": "UnreadableVideo: index",
    "cenc.mp4": "EncryptedVideo: encrypted",
    "cenc_frag.mp4": "EncryptedVideo: encrypted",
    "clearkey.mp4": "EncryptedVideo: encrypted",
    "drm.wmv": "EncryptedVideo: encrypted",
}


def test_the_table_is_complete(shared: Path) -> None:
    assert {path.name for path in (shared / "videos" / "wild").iterdir() if path.is_file()} == FILES.keys()


@pytest.mark.parametrize("name", [name for name, expected in FILES.items() if isinstance(expected, str)])
def test_files_that_cannot_be_decoded_say_why(shared: Path, name: str) -> None:
    kind, word = str(FILES[name]).split(": ")
    with pytest.raises(getattr(errors, kind), match=word):
        probe(shared / "videos" / "wild" / name)


@pytest.mark.parametrize("name", [name for name, expected in FILES.items() if isinstance(expected, Expected)])
def test_frames_are_those_of_a_plain_decoding(shared: Path, name: str) -> None:
    expected = FILES[name]
    assert isinstance(expected, Expected)
    path = shared / "videos" / "wild" / name
    info = probe(path)
    read = read_frames(info, np.arange(len(info.times_seconds))[None], None)
    stamps, pictures = decode_all(path, info.stream_index)
    assert (len(info.times_seconds), round(info.facts.duration_seconds, 3)) == (
        expected.frames,
        expected.duration_seconds,
    )
    warnings = info.warnings + read.warnings
    assert len(warnings) == len(expected.warnings)
    for warning, words in zip(warnings, expected.warnings, strict=True):
        assert words in warning
    assert len(pictures) == (expected.pictures or expected.frames)
    numbers = {int(stamp): number for number, stamp in enumerate(info.pts)} if info.pts is not None else None
    by_number = {
        count if numbers is None or stamp is None else numbers[stamp]: picture
        for count, (stamp, picture) in enumerate(zip(stamps, pictures, strict=True))
    }
    picture = pictures[0]
    for number, frame in enumerate(read.frames[0]):
        picture = by_number.get(number, picture)
        upright = info.orientation.apply(picture)
        assert upright.shape != frame.shape or np.array_equal(frame, upright), number


@pytest.mark.parametrize("name", ["mpeg4_without_stss.mp4", "h263_without_stss.3gp", "pauses_with_b_frames.mp4"])
def test_single_frames_are_those_of_a_plain_decoding(shared: Path, name: str) -> None:
    path = shared / "videos" / "wild" / name
    info = probe(path)
    _, pictures = decode_all(path)
    for number in np.random.default_rng(0).choice(len(pictures), 4, replace=False).tolist():
        frame = read_frames(info, np.array([[number]]), None).frames[0, 0]
        assert np.array_equal(frame, pictures[number]), number
