"""Tell encrypted videos, whose packets decode to noise or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from nlvid_cli.video.boxes import Seekable, is_encrypted_track, size_of

MP4_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2",)

SAMPLED_BYTES = 1 << 18
"""Bytes of a program or transport stream that are looked at."""

TRANSPORT_PACKET_BYTES = 188

SAMPLE_AES = 0xDB
"""Type of a stream of encrypted H.264 (Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming)."""

ASF_ENCRYPTION = frozenset(
    UUID(name).bytes_le
    for name in (
        "2211b3fb-bd23-11d2-b4b7-00a0c955fc6e",
        "298ae614-2622-4c17-b935-dae07ee9289c",
        "43058533-6981-49e6-9b74-ad12cb86d58c",
    )
)
"""Content encryption objects of an ASF header: plain, extended, advanced."""

ASF_HEADER_BYTES = 30


def is_encrypted(container: InputContainer, stream: VideoStream, file: Seekable) -> bool:
    """Whether a file declares its video stream to be encrypted.

    - MP4: the sample entry (Common Encryption, ISO/IEC 23001-7; FairPlay).
    - ASF, WMV: an object of the header (Advanced Systems Format specification, sections 3.14, 3.15 and 4.9).
    - Matroska, WebM: a key of the track, which FFmpeg reports.
    - MPEG streams: the type of the stream, or the scrambling bits of most packets (ISO/IEC 13818-1, sections 2.4.3.3
      and 2.4.3.7).

    Args:
        container: The open file.
        stream: Its video stream.
        file: The same file, as bytes; it is moved.
    """
    name = container.format.name
    if name in MP4_FORMATS:
        return is_encrypted_track(file, stream.id)
    if name == "asf":
        return not ASF_ENCRYPTION.isdisjoint(_asf_objects(file))
    if name.startswith("matroska"):
        return "enc_key_id" in stream.metadata
    if name == "mpegts" and _type_of(stream) == SAMPLE_AES:
        return True
    if name in ("mpegts", "mpeg"):
        file.seek(0)
        head = file.read(SAMPLED_BYTES)
        packets = Counter(
            _transport_packets(head, stream.id) if name == "mpegts" else _program_packets(head, stream.id)
        )
        return packets[True] > packets[False]
    return False


def has_key(packet: Packet[VideoStream]) -> bool:
    """Whether a packet says how it is encrypted."""
    return packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info")


def _type_of(stream: VideoStream) -> int | None:
    """Type of a stream of a transport stream, which FFmpeg keeps in the first byte of the codec's tag."""
    if stream.codec_context is None:
        return None
    try:
        tag = stream.codec_context.codec_tag.encode()
    except UnicodeDecodeError as error:  # PyAV takes the tag for text
        tag = error.object
    return tag[0] if tag else None


def _asf_objects(file: Seekable) -> Iterator[bytes]:
    """Yield the identifiers of the objects in the header of an ASF file."""
    file.seek(0)
    head = file.read(ASF_HEADER_BYTES)
    position, end = ASF_HEADER_BYTES, min(int.from_bytes(head[16:24], "little"), size_of(file))
    for _ in range(int.from_bytes(head[24:28], "little")):
        if position >= end:
            return
        file.seek(position)
        start = file.read(24)
        size = int.from_bytes(start[16:], "little")
        if size < len(start):
            return
        yield start[:16]
        position += size


def _transport_packets(head: bytes, number: int) -> Iterator[bool]:
    """Yield, for each packet of a stream, whether it is scrambled."""
    start = head.find(b"G")
    while 0 <= start < len(head) - 4:
        if head[start] != 0x47:  # packets of 192 or 204 bytes have something in between
            start = head.find(b"G", start + 1)
            continue
        if int.from_bytes(head[start + 1 : start + 3]) & 0x1FFF == number:
            yield bool(head[start + 3] & 0x80)
        start += TRANSPORT_PACKET_BYTES


def _program_packets(head: bytes, number: int) -> Iterator[bool]:
    """Yield, for each packet of a stream in MPEG-2's form, whether it is scrambled."""
    sign = b"\0\0\1" + bytes([number & 0xFF])
    start = head.find(sign)
    while 0 <= start < len(head) - 7:
        flags = head[start + 6]
        if flags & 0xC0 == 0x80:
            yield bool(flags & 0x30)
        start = head.find(sign, start + 6)
