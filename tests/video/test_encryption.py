"""Encrypted videos are refused by name, and clear ones are not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nlvid_cli.errors import EncryptedVideo, NlvidError, UnreadableVideo
from nlvid_cli.video.encryption import _asf_objects
from nlvid_cli.video.probe import probe
from tests.clips import make_clip

CENC = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}
CONTENT_ENCRYPTION = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
"""Identifier of the object in an ASF header (Advanced Systems Format specification, section 3.14)."""


def test_common_encryption_in_mp4(tmp_path: Path) -> None:
    with pytest.raises(EncryptedVideo, match="DRM"):
        probe(make_clip(tmp_path / "clip.mp4", frames=10, container_options=CENC))


def test_common_encryption_whose_packets_cannot_be_told(tmp_path: Path) -> None:
    """FFmpeg refuses the file, or reports packets as if they were clear: the sample entry still says ``encv``."""
    clip = make_clip(tmp_path / "clip.mp4", frames=10, container_options=CENC)
    data = clip.read_bytes()
    assert b"senc" in data
    for damaged in (data.replace(b"senc", b"free").replace(b"saio", b"free").replace(b"saiz", b"free"),):
        clip.write_bytes(damaged)
        with pytest.raises(EncryptedVideo):
            probe(clip)


@pytest.mark.parametrize("entry", [b"encv", b"drmi"])
def test_sample_entries_of_encrypted_tracks(tmp_path: Path, entry: bytes) -> None:
    clip = make_clip(tmp_path / "clip.mov", frames=10)
    clip.write_bytes(clip.read_bytes().replace(b"avc1", entry))
    with pytest.raises(EncryptedVideo):
        probe(clip)


def test_encrypted_sound_beside_clear_pictures_does_not_matter(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=10, audio=True)
    clip.write_bytes(clip.read_bytes().replace(b"mp4a", b"enca", 1))
    assert len(probe(clip).times_seconds) == 10


def test_windows_media(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.wmv", codec="wmv2", frames=10)
    data = bytearray(clip.read_bytes())
    fields = b"".join(len(field).to_bytes(4, "little") + field for field in (b"secret", b"DRM\0", b"key\0", b"url\0"))
    added = CONTENT_ENCRYPTION + (24 + len(fields)).to_bytes(8, "little") + fields
    header_bytes = int.from_bytes(data[16:24], "little")
    data[16:24] = (header_bytes + len(added)).to_bytes(8, "little")
    data[24:28] = (int.from_bytes(data[24:28], "little") + 1).to_bytes(4, "little")
    data[30:30] = added
    clip.write_bytes(data)
    with pytest.raises(EncryptedVideo):
        probe(clip)


@pytest.mark.parametrize("name", ["clip.ts", "clip.m2ts"])
def test_scrambled_transport_streams(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, frames=30, b_frames=0)
    data = bytearray(clip.read_bytes())
    size, first = (192, 4) if name.endswith("m2ts") else (188, 0)
    for start in range(first, len(data), size):
        assert data[start] == 0x47
        number = int.from_bytes(data[start + 1 : start + 3]) & 0x1FFF
        if 0x100 <= number < 0x1FFF and number != 0x1000:
            data[start + 3] |= 0x80
    clip.write_bytes(data)
    with pytest.raises(EncryptedVideo):
        probe(clip)


def test_scrambled_program_streams(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.vob", codec="mpeg2video", frames=30)
    data = bytearray(clip.read_bytes())
    start = data.find(b"\0\0\1\xe0")
    while start >= 0:
        data[start + 6] |= 0x10
        start = data.find(b"\0\0\1\xe0", start + 6)
    clip.write_bytes(data)
    with pytest.raises(EncryptedVideo):
        probe(clip)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts", "clip.m2ts", "clip.vob", "clip.wmv", "clip.mkv"])
def test_clear_videos_are_not_taken_for_encrypted_ones(tmp_path: Path, name: str) -> None:
    codecs = {".vob": "mpeg2video", ".wmv": "wmv2"}
    clip = make_clip(
        tmp_path / name, codec=codecs.get(Path(name).suffix, "libx264"), frames=10, metadata={"encryption": "ASF none"}
    )
    try:
        assert len(probe(clip).times_seconds) == 10
    except EncryptedVideo:
        pytest.fail("taken for encrypted")


def test_damage_is_not_encryption(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=10)
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    clip.write_bytes(data)
    with pytest.raises(NlvidError) as caught:
        probe(clip)
    assert isinstance(caught.value, UnreadableVideo)


def element(kind: str, content: bytes) -> bytes:
    """An element of Matroska, its size in eight bytes (RFC 8794)."""
    return bytes.fromhex(kind) + (len(content) | 1 << 56).to_bytes(8) + content


def test_encrypted_webm(tmp_path: Path) -> None:
    """A track with a key, as browsers play them (WebM Encryption, W3C)."""
    clip = make_clip(tmp_path / "clip.webm", codec="libvpx", frames=10)
    data = clip.read_bytes()
    method = element("47e1", b"\5") + element("47e2", bytes(range(16)))
    encodings = element(
        "6d80", element("6240", element("5032", b"\1") + element("5033", b"\1") + element("5035", method))
    )
    start = data.rindex(bytes.fromhex("1654ae6b")) + 4  # not where the seek head names it
    size_bytes = 9 - data[start].bit_length()
    end = start + size_bytes + (int.from_bytes(data[start : start + size_bytes]) & ~(1 << 7 * size_bytes))
    entry = data.index(b"\xae", start) + 1
    entry_size_bytes = 9 - data[entry].bit_length()
    content = data[entry + entry_size_bytes : end]
    tracks = element("1654ae6b", element("ae", content + encodings))
    clip.write_bytes(data[: start - 4] + tracks + data[end:])
    with pytest.raises(EncryptedVideo):
        probe(clip)


def test_sample_aes_in_a_transport_stream(tmp_path: Path) -> None:
    """The type of the stream in the program map says so (Apple, MPEG-2 Stream Encryption Format)."""
    clip = make_clip(tmp_path / "clip.ts", frames=10)
    data = bytearray(clip.read_bytes())
    for table in range(0, len(data), 188):
        if data[table + 1 : table + 3] == b"\x50\x00":  # the program map
            data[data.index(b"\x1b\xe1\x00", table)] = 0xDB
            end = table + 8 + (int.from_bytes(data[table + 6 : table + 8]) & 0xFFF) - 4
            data[end : end + 4] = crc32_mpeg(data[table + 5 : end]).to_bytes(4)
    clip.write_bytes(data)
    with pytest.raises(EncryptedVideo):
        probe(clip)


def crc32_mpeg(data: bytes) -> int:
    """The check sum of a section (ISO/IEC 13818-1, annex A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def test_a_header_of_absurd_sizes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.wmv", codec="wmv2", frames=10)
    data = bytearray(clip.read_bytes())
    for at in (16, 46):  # of the header, and of its first object
        data[at : at + 8] = (2**63 + 5).to_bytes(8, "little")
    with io.BytesIO(data) as file:
        assert len(list(_asf_objects(file))) == 1
