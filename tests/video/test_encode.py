"""Videos that are written again: the same frames at the same times, the same sound, and nothing half."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.video import encode
from nlvid_cli.video.annotate import Annotations, Mark, Moment, Span
from nlvid_cli.video.encode import write_video
from nlvid_cli.video.fonts import Font
from nlvid_cli.video.probe import probe, probe_segment
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.segment import Segment, Stretch
from tests.clips import decode_all, make_clip, picture, spoil_packet
from tests.server import serving

MARK = Mark("dancing", 0.9, (200, 60, 60))
ANNOTATIONS = Annotations((Span(0.0, 1.0, MARK),), (Moment(1.0, (MARK,)),), 0.0, 2.4)
NOTHING = Annotations((), (), 0.0, 2.4)
UNEVEN = [0, 11, 95, 120, 300, 333, 350, 700, 733, 900, 1200, 1201, 1250, 1900]


def write(source: Path, target: Path, stretch: Stretch | None = None) -> list[str]:
    said: list[str] = []
    write_video(probe(source, promised=True), stretch, target, ANNOTATIONS, Font(), said.append)
    return said


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.pts * stream.time_base for frame in container.decode(stream)]


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(container.streams.audio[0]) if p.size]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov"])
@pytest.mark.parametrize("times", [None, UNEVEN, [500 + time for time in UNEVEN]])
def test_frames_times_and_sound_are_those_of_the_source(name: str, times: list[int] | None, tmp_path: Path) -> None:
    source = make_clip(tmp_path / name, frames=len(times or UNEVEN), times=times, audio=True)
    assert write(source, tmp_path / "out.mp4") == []
    assert times_of(tmp_path / "out.mp4") == times_of(source)
    assert sound_of(tmp_path / "out.mp4") == sound_of(source)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
def test_pictures_are_upright_and_of_even_size(rotation: int, size: tuple[int, int], tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=4, size=size, pix_fmt="yuv444p", rotation=(rotation, False, False))
    write(source, tmp_path / "out.mp4")
    facts = probe(tmp_path / "out.mp4").facts
    assert (facts.width, facts.height) == ((48, 64) if rotation in (90, 270) else (64, 48))
    assert facts.rotation_degrees == 0


@pytest.mark.parametrize("colours", [(1, 1), (1, 2), (5, 1), (6, 2), (9, 1)])
def test_colours_stay_where_nothing_is_drawn(colours: tuple[int, int], tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", frames=2, size=(320, 240), colours=colours, options={"crf": "1"})
    write_video(probe(source), None, tmp_path / "out.mp4", NOTHING, Font(), print)
    pictures = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            assert (frame.colorspace, frame.color_range) == colours
            pictures.append(frame.to_ndarray(format="rgb24")[:200].astype(int))
    assert np.abs(pictures[0].mean(axis=(0, 1)) - pictures[1].mean(axis=(0, 1))).max() < 1


def test_a_part_begins_at_0_with_its_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=60, audio=True)
    write(source, tmp_path / "out.mp4", Stretch(1.0, 2.0))
    assert times_of(tmp_path / "out.mp4") == [Fraction(number, 25) for number in range(25)]
    expected = [data for time, data in sound_of(source) if 1 <= time < 2]
    assert [data for _, data in sound_of(tmp_path / "out.mp4")] == expected


def test_webm_holds_vp9_and_opus(tmp_path: Path) -> None:
    write(make_clip(tmp_path / "clip.mp4", frames=20, audio=True), tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as container:
        assert {stream.codec_context.codec.canonical_name for stream in container.streams} == {"vp9", "opus"}
    assert len(times_of(tmp_path / "out.webm")) == 20


def test_vp9_stands_in_for_h264_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=5)
    monkeypatch.setattr(encode.av, "codecs_available", av.codecs_available - {"libx264"})
    assert "H.264" in write(source, tmp_path / "out.mp4")[0]
    assert len(times_of(tmp_path / "out.mp4")) == 5


def test_the_source_is_never_written_over(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=3)
    (tmp_path / "same.mp4").hardlink_to(source)
    with pytest.raises(UsageError, match="input"):
        write(source, tmp_path / "same.mp4")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_half_is_left(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=3)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(encode.Painter, "patches", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        write(source, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4"):
        write(make_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "out.avi")


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
@pytest.mark.parametrize("source_name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize("times", [None, UNEVEN])
def test_a_new_video_is_as_long_as_the_source(
    name: str, source_name: str, times: list[int] | None, tmp_path: Path
) -> None:
    source = make_clip(tmp_path / source_name, frames=14, times=times)
    write(source, tmp_path / name)
    expected = probe(source).facts
    with av.open(str(tmp_path / name)) as container:
        assert container.duration / av.time_base == pytest.approx(expected.duration_seconds, abs=2e-3)


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_the_last_frame_lasts_as_long_as_in_the_source(name: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=10, b_frames=0)
    with av.open(str(clip)) as old, av.open(str(tmp_path / "held.mp4"), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        latest = max(packet.pts or 0 for packet in packets)
        for packet in packets:
            packet.stream = copy
            packet.duration = round(0.7 / packet.time_base) if packet.pts == latest else packet.duration
            new.mux(packet)
    source = probe(tmp_path / "held.mp4")
    assert source.facts.duration_seconds == pytest.approx(0.36 + 0.7)
    write(tmp_path / "held.mp4", tmp_path / name)
    with av.open(str(tmp_path / name)) as container:
        assert container.duration / av.time_base == pytest.approx(0.36 + 0.7, abs=2e-3)


def test_a_frame_that_does_not_decode_shows_the_one_before(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mov", frames=12, codec="png", pix_fmt="rgb24", size=(160, 120), audio=True)
    spoil_packet(source, 5)
    assert write(source, tmp_path / "out.mp4") == []
    assert times_of(tmp_path / "out.mp4") == [Fraction(number, 25) for number in range(12)]
    assert sound_of(tmp_path / "out.mp4")
    shown = [found[:60].astype(int) for found in decode_all(tmp_path / "out.mp4")[1]]
    nearest = [int(np.argmin([np.abs(found - picture(n, 160, 120)[:60]).mean() for n in range(12)])) for found in shown]
    assert nearest == [0, 1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_damaged_video_goes_on(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlvid_cli.video.stream.usable_processors", lambda: threads)
    monkeypatch.setattr("nlvid_cli.video.read.PIXELS_PER_THREAD", 1)
    source = spoil_packet(make_clip(tmp_path / "clip.mp4", frames=40, gop=10, size=(160, 120), audio=True), 13)
    before = sound_of(source)
    assert write(source, tmp_path / "out.mp4") == []
    assert len(times_of(tmp_path / "out.mp4")) == 40
    assert sound_of(tmp_path / "out.mp4") == before


def test_a_folder_of_pictures_becomes_a_video(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(12):
        image = Image.fromarray(picture(number, 160, 120))
        image.save(tmp_path / "frames" / f"{number + 1}.png")
    info = probe_segment(Segment(tmp_path / "frames", fps=10.0))
    said: list[str] = []
    write_video(info, None, tmp_path / "out.mp4", ANNOTATIONS, Font(), said.append)
    assert said == []
    assert times_of(tmp_path / "out.mp4") == [Fraction(number, 10) for number in range(12)]
    assert probe(tmp_path / "out.mp4").facts.duration_seconds == pytest.approx(1.2)
    shown = [found[:60].astype(int) for found in decode_all(tmp_path / "out.mp4")[1]]
    assert all(np.abs(found - picture(number, 160, 120)[:60]).mean() < 25 for number, found in enumerate(shown))


def test_an_address_becomes_a_video(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=20, audio=True)
    with serving(tmp_path) as address:
        info = probe(RemotePath(f"{address}/clip.mp4"))
        write_video(info, None, tmp_path / "out.mp4", ANNOTATIONS, Font(), print)
    assert times_of(tmp_path / "out.mp4") == times_of(source)
    assert sound_of(tmp_path / "out.mp4") == sound_of(source)


@pytest.mark.parametrize("rotation", [0, 90])
def test_pixels_keep_their_shape(rotation: int, tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "clip.mp4", frames=3, options={"x264-params": "sar=2/1"}, rotation=(rotation, False, False)
    )
    write(clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        shape = container.streams.video[0].sample_aspect_ratio
    assert shape == (Fraction(1, 2) if rotation else 2)
    write(clip, tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as image:
        assert image.size == ((48, 128) if rotation else (128, 48))


@pytest.mark.parametrize(("name", "word"), [("out.mp4", "8 bits"), ("out.webm", "8 bits"), ("out.gif", "dull")])
def test_hdr_is_written_and_said(name: str, word: str, tmp_path: Path) -> None:
    parameters = {"x264-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}
    clip = make_clip(tmp_path / "clip.mp4", frames=3, pix_fmt="yuv420p10le", options=parameters, colours=(9, 1))
    (said,) = write(clip, tmp_path / name)
    assert "HDR" in said
    assert word in said
    if name != "out.gif":
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
            assert (frame.format.name, frame.colorspace, frame.color_trc) == ("yuv420p", 9, 16)


def test_a_part_shows_the_pictures_of_its_time(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", frames=120, size=(160, 120), gop=10)
    write(source, tmp_path / "out.mp4", Stretch(3.2, 3.6))
    shown = [found[:60].astype(int) for found in decode_all(tmp_path / "out.mp4")[1]]
    nearest = [min(range(120), key=lambda n: np.abs(found - picture(n, 160, 120)[:60]).mean()) for found in shown]
    assert nearest == list(range(80, 90))
