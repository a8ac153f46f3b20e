"""Sound of new videos: every stream, at its time, and nothing that is not sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nlvid_cli.video.segment import Stretch
from tests.clips import make_clip
from tests.video.test_encode import times_of, write


@dataclass(frozen=True)
class Tone:
    """A stream of sound: its encoder, when it starts, its language and its number of channels."""

    codec: str = "aac"
    start_seconds: float = 0.0
    language: str = "eng"
    channels: int = 1


def with_sounds(path: Path, tones: list[Tone], subtitles: bool = False, frames: int = 50) -> Path:
    """A clip of two seconds with streams of sound of two seconds, and maybe subtitles."""
    clip = make_clip(path.with_name("silent.mp4"), frames=frames)
    text = path.with_suffix(".srt")
    text.write_text("1\n00:00:00,100 --> 00:00:01,000\nhello\n\n", encoding="utf-8")
    with av.open(str(clip)) as old, av.open(str(text)) as words, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        streams = []
        for tone in tones:
            stream = new.add_stream(tone.codec, rate=48000)
            stream.codec_context.layout = "mono" if tone.channels == 1 else "5.1"
            stream.metadata["language"] = tone.language
            streams.append(stream)
        lines = new.add_stream_from_template(words.streams.subtitles[0]) if subtitles else None
        packets: list[av.Packet] = []
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                packets.append(packet)
        for tone, stream in zip(tones, streams, strict=True):
            packets += tones_of(stream, tone)
        for packet in words.demux() if lines else ():
            if packet.size:
                packet.stream = lines
                packets.append(packet)
        for packet in sorted(packets, key=lambda one: (one.dts if one.dts is not None else one.pts) * one.time_base):
            new.mux(packet)
    return path


def tones_of(stream: av.AudioStream, tone: Tone) -> Iterator[av.Packet]:
    """Packets of two seconds of a tone."""
    samples, context = 1024, stream.codec_context
    start = round(tone.start_seconds * 48000)
    for number in range(2 * 48000 // samples):
        wave = np.sin((np.arange(samples) + number * samples) / 20).astype(np.float32) * 0.3
        frame = av.AudioFrame.from_ndarray(np.tile(wave, (tone.channels, 1)), "fltp", context.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = 48000, start + number * samples, Fraction(1, 48000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def sounds_of(path: Path) -> list[list[tuple[float, bytes]]]:
    """Times and bytes of the packets of each stream of sound."""
    with av.open(str(path)) as container:
        found: list[list[tuple[float, bytes]]] = [[] for _ in container.streams.audio]
        places = {stream.index: place for place, stream in enumerate(container.streams.audio)}
        for packet in container.demux(container.streams.audio):
            if packet.size:
                found[places[packet.stream_index]].append((float(packet.pts * packet.time_base), bytes(packet)))
        return found


def languages_of(path: Path) -> list[str | None]:
    with av.open(str(path)) as container:
        return [stream.metadata.get("language") for stream in container.streams.audio]


def assert_same(found: list[list[tuple[float, bytes]]], expected: list[list[tuple[float, bytes]]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert [data for _, data in one] == [data for _, data in other]
        assert [time for time, _ in one] == pytest.approx([time for time, _ in other], abs=1.1e-3)


def test_all_streams_are_copied_with_their_languages(tmp_path: Path) -> None:
    source = with_sounds(tmp_path / "a.mkv", [Tone(language="spa"), Tone("libmp3lame", language="fre")])
    assert write(source, tmp_path / "out.mp4") == []
    assert_same(sounds_of(tmp_path / "out.mp4"), sounds_of(source))
    assert languages_of(tmp_path / "out.mp4") == ["spa", "fre"]


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_sound_that_starts_late_stays_late(suffix: str, tmp_path: Path) -> None:
    codec = "aac" if suffix == "mp4" else "libopus"
    source = with_sounds(tmp_path / "a.mkv", [Tone(codec, start_seconds=0.7)])
    write(source, tmp_path / f"out.{suffix}")
    expected = sounds_of(source)
    assert expected[0][0][0] == pytest.approx(0.7, abs=0.03)
    assert_same(sounds_of(tmp_path / f"out.{suffix}"), expected)
    assert times_of(tmp_path / f"out.{suffix}")[0] == 0


def test_subtitles_are_left_out(tmp_path: Path) -> None:
    source = with_sounds(tmp_path / "a.mkv", [Tone()], subtitles=True)
    with av.open(str(source)) as container:
        assert len(container.streams.subtitles) == 1
    assert write(source, tmp_path / "out.mp4") == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sorted(stream.type for stream in container.streams) == ["audio", "video"]


@pytest.mark.parametrize(
    ("suffix", "tone", "codec"),
    [
        ("mp4", Tone("pcm_f32le", 0.5), "aac"),
        ("mp4", Tone("ac3", 0.5, channels=6), "ac3"),
        ("webm", Tone("pcm_f32le", 0.5), "opus"),
        ("webm", Tone("ac3", 0.5, channels=6), "opus"),
    ],
)
def test_sound_that_the_new_file_cannot_hold_is_encoded_again(
    suffix: str, tone: Tone, codec: str, tmp_path: Path
) -> None:
    source = with_sounds(tmp_path / "a.mkv", [tone])
    assert write(source, tmp_path / f"out.{suffix}") == []
    with av.open(str(tmp_path / f"out.{suffix}")) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == codec
        frames = list(container.decode(audio=0))
    assert float(frames[0].pts * frames[0].time_base) == pytest.approx(0.5, abs=0.05)
    assert sum(frame.samples for frame in frames) / frames[0].sample_rate == pytest.approx(2, abs=0.1)
    loudness = np.concatenate([frame.to_ndarray().ravel() for frame in frames[5:-5]])
    assert np.sqrt(np.mean(loudness.astype(np.float64) ** 2)) > 0.1


def test_a_part_has_the_sound_of_its_time(tmp_path: Path) -> None:
    source = with_sounds(tmp_path / "a.mkv", [Tone(), Tone(start_seconds=1.2)])
    write(source, tmp_path / "out.mp4", Stretch(1.0, 1.6))
    for found, whole in zip(sounds_of(tmp_path / "out.mp4"), sounds_of(source), strict=True):
        part = [(time - 1.0, data) for time, data in whole if 1.0 <= time < 1.6]
        assert_same([found], [part])
