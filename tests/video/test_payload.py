"""The index of a file tells the same without the content."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlvid_cli.video import payload, probe
from nlvid_cli.video.payload import WithoutPayload, payload_of
from tests.clips import make_clip
from tests.video.test_read import CLIPS


@pytest.fixture
def small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MIN_FILE_BYTES", 0)
    monkeypatch.setattr(payload, "MIN_BLOCK_BYTES", 0)


def read_whole(*_: object) -> None:
    return None


INDEXED = [name for name in CLIPS if name.endswith((".mp4", ".mov", ".mkv", ".webm"))]
MORE: dict[str, dict[str, Any]] = {
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "index_first.mp4": {"container_options": {"movflags": "faststart"}},
    "sound.mkv": {"audio": True},
    "sound.mp4": {"audio": True},
    "turned.mp4": {"rotation": (90, False, False)},
    "late.mp4": {"times": list(range(7000, 9400, 40))},
}


@pytest.mark.usefixtures("small_files_too")
@pytest.mark.parametrize("name", [*INDEXED, *MORE])
def test_the_index_tells_what_all_packets_tell(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / name, **(CLIPS | MORE)[name])
    with clip.open("rb", buffering=0) as file:
        assert payload_of(file)
    by_index = probe.probe(clip)
    monkeypatch.setattr(probe, "payload_of", read_whole)
    by_packets = probe.probe(clip)
    assert by_index.facts == by_packets.facts
    assert by_index.header == by_packets.header
    assert by_index.warnings == by_packets.warnings
    assert np.array_equal(by_index.times_seconds, by_packets.times_seconds)
    assert np.array_equal(by_index.key_frames, by_packets.key_frames)
    assert by_index.pts is not None
    assert by_packets.pts is not None
    assert np.array_equal(by_index.pts, by_packets.pts)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv"])
def test_a_large_file_is_opened_by_its_index(tmp_path: Path, name: str) -> None:
    """Bytes that this process read, by the kernel's count."""
    clip = large_clip(tmp_path / name)
    size_bytes = clip.stat().st_size
    assert size_bytes > 100e6
    before = bytes_read()
    info = probe.probe(clip)
    assert bytes_read() - before < 0.03 * size_bytes
    assert len(info.times_seconds) == 3000
    assert len(info.key_frames) == 100


def bytes_read() -> int:
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        pytest.skip("the kernel does not count the bytes that a process reads")
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def large_clip(path: Path) -> Path:
    """3,000 frames at 25 per second; each packet has filler data (ITU-T H.264, 7.3.2.7) up to 36 kB."""
    short = make_clip(path.with_stem("short"), frames=30, gop=30, b_frames=0)
    with av.open(str(short)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        packets = [bytes(packet) for packet in old.demux(stream) if packet.size]
        for number in range(3000):
            content = packets[number % 30]
            filler = b"\x0c" + b"\xff" * (36_000 - len(content)) + b"\x80"
            packet = av.Packet(content + len(filler).to_bytes(4) + filler)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), copy, number % 30 == 0
            new.mux(packet)
    return path


def test_small_files_and_other_kinds_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str, **changes: Any) -> bool:
        with make_clip(tmp_path / name, **changes).open("rb", buffering=0) as file:
            return payload_of(file) is not None

    assert not found("clip.mp4")
    assert not found("clip.mkv")
    monkeypatch.setattr(payload, "MIN_FILE_BYTES", 0)
    assert found("clip.mp4")
    assert not found("clip.ts")
    assert not found("clip.avi", codec="mpeg4")
    assert not found("live.mkv", container_options={"live": "1"})  # sizes are unknown
    monkeypatch.setattr(payload, "SAMPLED_BLOCKS", 30)
    assert not found("small_blocks.mkv")


@pytest.mark.usefixtures("small_files_too")
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_file_that_is_cut_off_is_read_whole(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, frames=100, gop=10, container_options={"movflags": "faststart"})
    whole = probe.probe(clip)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    with clip.open("rb", buffering=0) as file:
        assert payload_of(file) is None
    assert len(probe.probe(clip).times_seconds) < len(whole.times_seconds)


@pytest.mark.usefixtures("small_files_too")
def test_compressed_and_laced_blocks_are_kept(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=20)
    data = clip.read_bytes()
    encoded = data.replace(b"\xae", b"\x6d\x80\x80\xae", 1)  # an empty ContentEncodings before the first track
    with io.BytesIO(encoded) as file:
        assert payload_of(file) is None
    laced = bytearray(data)
    with io.BytesIO(data) as file:
        ranges = payload_of(file)
    assert ranges
    start = ranges[0][0] - payload.KEPT_BYTES
    laced[start + 3] |= 0x02
    with io.BytesIO(laced) as file:
        assert payload_of(file) == ranges[1:]


@given(st.binary(max_size=200), st.data())
def test_reading_without_payload(content: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    ranges = [(start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=False) if start < end]
    blank = bytearray(content)
    for start, end in ranges:
        blank[start:end] = bytes(end - start)
    expected = io.BytesIO(blank)
    with io.BytesIO(content) as file, WithoutPayload(file, ranges) as actual:  # type: ignore[arg-type]
        for _ in range(10):
            offset, size = data.draw(st.integers(0, 220)), data.draw(st.integers(-1, 220))
            assert actual.seek(offset) == expected.seek(offset)
            assert actual.read(size) == expected.read(size)
            assert actual.tell() == expected.tell()
        assert actual.seek(-3 if len(content) > 3 else 0, io.SEEK_END) == expected.seek(
            -3 if len(content) > 3 else 0, io.SEEK_END
        )


@given(st.binary(max_size=400))
def test_any_bytes_after_a_signature_are_looked_at_safely(content: bytes) -> None:
    for beginning in (b"\0\0\0\x10ftypisom\0\0\0\0", payload.EBML + b"\x80\x18\x53\x80\x67\x01\0\0\0\0\0\1\0"):
        whole = beginning + content
        with pytest.MonkeyPatch.context() as patch, io.BytesIO(whole) as file:
            patch.setattr(payload, "MIN_FILE_BYTES", 0)
            ranges = payload_of(file)
        assert ranges is None or all(0 <= start <= end <= len(whole) for start, end in ranges)
