"""Which files are videos, judging by their first bytes: for names that do not tell, before anything is decoded."""

from __future__ import annotations

HEAD_BYTES = 4096
"""Number of bytes that tell."""

SIGNATURES = (
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM (RFC 8794)
    b"FLV\x01",
    b"GIF87a",
    b"GIF89a",
    b"\x00\x00\x01\xba",  # MPEG program stream (ISO/IEC 13818-1)
    b"\x00\x00\x01\xe0",  # the same, from its first video packet on
    b"\x00\x00\x01\xb3",  # MPEG-1 and MPEG-2 video
    b"\x00\x00\x01\xb0",  # MPEG-4 video, part 2
    *(start + unit for start in (b"\x00\x00\x01", b"\x00\x00\x00\x01") for unit in (b"\x67", b"\x27")),  # H.264, SPS
    *(b"\x00\x00\x00\x01\x09" + pictures for pictures in (b"\x10", b"\x30", b"\x50", b"\xf0")),  # H.264, delimiter
    *(b"\x00\x00\x00\x01" + unit for unit in (b"\x40\x01", b"\x42\x01", b"\x46\x01")),  # HEVC: VPS, SPS, delimiter
    b"\x12\x00\x0a",  # AV1: temporal delimiter, sequence header
    b"DKIF",  # IVF
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b".RMF\x00\x00\x00",  # RealMedia
    b"nut/multimedia container\x00",
    b"YUV4MPEG2 ",
    b"\x06\x0e\x2b\x34",  # MXF (SMPTE 377)
    b"\x00\x00\x00\x00\x01\xbc",  # GXF (SMPTE 360)
    b"\x1f\x07\x00",  # DV
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
    b"DHAV",
    b"NSVf",
    b"BBCD",  # Dirac
)
"""First bytes of videos that need no more than a comparison."""

AUDIO_AND_PICTURE_BRANDS = (
    *(b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "),
    *(b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"crx "),
)
"""Brands of the MP4 family (ISO/IEC 14496-12, ``ftyp``) that are not videos."""

FIRST_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""Boxes with which a QuickTime movie without ``ftyp`` may begin."""

VIDEO_RIFFS = (b"AVI ", b"AMV ", b"CDXA")
"""Kinds of RIFF files that are videos; CDXA is a file of a Video CD."""

OGG_VIDEO = (b"\x80theora", b"\x01video", b"BBCD", b"OVP80", b"KW-DIRAC")
"""First bytes of an Ogg stream of pictures: Theora, OGM, Dirac, VP8."""

PACKET_BYTES = (188, 192, 204)
"""Sizes of a packet of a transport stream: alone, with a time stamp (M2TS), with a checksum."""

FEWEST_PACKETS = 5
"""Packets in a row that tell a transport stream from other bytes."""


def begins_like_video(head: bytes) -> bool:
    """Whether a file begins like a video.

    Args:
        head: First :data:`HEAD_BYTES` bytes of the file, or all of it.
    """
    return (
        head.startswith(SIGNATURES)
        or _is_movie(head)
        or (head[:4] == b"RIFF" and head[8:12] in VIDEO_RIFFS)
        or _has_ogg_video(head)
        or _is_transport_stream(head)
    )


def _is_movie(head: bytes) -> bool:
    kind = head[4:8]
    if kind == b"ftyp":
        return head[8:12] not in AUDIO_AND_PICTURE_BRANDS
    return kind in FIRST_BOXES and head[0] < 0x20  # a size, and not a letter: "The free ..." is a text


def _has_ogg_video(head: bytes) -> bool:
    """Whether one of the streams that an Ogg file announces is video: their first pages come first (RFC 3533)."""
    start = 0
    while head[start : start + 4] == b"OggS" and len(head) > start + 26 and head[start + 5] & 2:
        segments = head[start + 27 : start + 27 + head[start + 26]]
        content = start + 27 + len(segments)
        if head.startswith(OGG_VIDEO, content):
            return True
        start = content + sum(segments)
    return False


def _is_transport_stream(head: bytes) -> bool:
    """Whether packets of a transport stream follow each other; a part of a packet, or junk, may come first."""
    start = head.find(b"G")
    while 0 <= start < HEAD_BYTES // 2:
        for size in PACKET_BYTES:
            marks = head[start::size]
            # 00 is reserved in the bits that say what a packet holds; a text of nothing but "G" has it.
            if len(marks) >= FEWEST_PACKETS and marks.strip(b"G") == b"" and head[start + 3] & 0x30:
                return True
        start = head.find(b"G", start + 1)
    return False
