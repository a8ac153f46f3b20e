"""Walking the boxes of any bytes."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from nlvid_cli.video.boxes import Box, boxes, find_boxes, is_encrypted_track, is_mp4


def box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    return (8 + len(content) if size is None else size).to_bytes(4) + kind + content


def large(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    """With a size of eight bytes."""
    return b"\0\0\0\1" + kind + (16 + len(content) if size is None else size).to_bytes(8) + content


def test_sizes_in_all_their_forms() -> None:
    data = box(b"ftyp", b"isom") + large(b"free", b"12345") + box(b"mdat", b"to the end", size=0)
    with io.BytesIO(data) as file:
        found = list(boxes(file, 0, len(data)))
    assert [one.kind for one in found] == [b"ftyp", b"free", b"mdat"]
    assert [data[one.start : one.end] for one in found] == [b"isom", b"12345", b"to the end"]


def test_a_box_that_claims_too_much_is_the_last() -> None:
    inner = box(b"moov", large(b"trak", b"", size=2**64 - 1) + box(b"mdia", b""))
    data = large(b"moov", inner, size=2**63 + 5)
    with io.BytesIO(data) as file:
        (outer,) = boxes(file, 0, len(data))
        assert outer == Box(b"moov", 16, 2**63 + 5)
        (track,) = find_boxes(file, outer, b"moov", b"trak")
        assert list(boxes(file, track.start, track.end)) == [Box(b"mdia", track.start + 8, track.start + 8)]
        assert not is_encrypted_track(file, 0)


@given(
    st.lists(st.sampled_from([b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"tkhd"])), st.binary(max_size=64)
)
def test_any_bytes(kinds: list[bytes], content: bytes) -> None:
    data = content
    for kind in kinds:
        data = box(kind, data + content[:8])
    with io.BytesIO(data) as file:
        is_mp4(file)
        assert is_encrypted_track(file, 1) in (True, False)
        assert all(one.start <= one.end for one in boxes(file, 0, len(data)))
