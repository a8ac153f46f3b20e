"""The count of a message's fields, against the examples of the format's own documentation."""

from __future__ import annotations

import onnx
import pytest

from nlvid_cli.models.onnx_file import wire
from nlvid_cli.models.onnx_file.wire import WireError, check_fields

MODEL, GRAPH, NODE = (kind.DESCRIPTOR for kind in (onnx.ModelProto, onnx.GraphProto, onnx.NodeProto))


def test_messages_of_the_documentation() -> None:
    """150 in field 1, "testing" in field 2, and packed 3, 270, 86942 in field 4."""
    check_fields(memoryview(b"\x08\x96\x01\x12\x07testing\x22\x06\x03\x8e\x02\x9e\xa7\x05"), MODEL)


@pytest.mark.parametrize(
    "data",
    [
        b"\x12\x08testing",
        b"\x08",
        b"\x08" + b"\xff" * 10,
        b"\x0b",
        b"\x0d\x00\x00",
        b"\x00\x01",
        b"\xa2\x80\x80\x80\x10\x00",
        b"\x12\xff\xff\xff\xff\x0f",
        b"\xfa" + b"\xff" * 8 + b"\x01\x00",
        b"\x3a\x02\x0a\x08",  # a node in a graph that is cut off
    ],
)
def test_bytes_that_are_not_a_message(data: bytes) -> None:
    with pytest.raises(WireError):
        check_fields(memoryview(data), MODEL)


def test_what_may_occur_once_occurs_once() -> None:
    check_fields(memoryview(b"\x0a\x01a\x0a\x01b"), NODE)  # two inputs
    with pytest.raises(WireError, match="op_type occurs twice"):
        check_fields(memoryview(b"\x22\x01a\x22\x01b"), NODE)


def test_fields_of_messages_in_messages_count(monkeypatch: pytest.MonkeyPatch) -> None:
    node = b"\x0a\x06\x0a\x01a\x0a\x01b"  # 1 field, with 2 in it
    monkeypatch.setattr(wire, "MAX_ALL_FIELDS", 6)
    check_fields(memoryview(node * 2), GRAPH)
    with pytest.raises(WireError, match="6 fields"):
        check_fields(memoryview(node * 2 + b"\x12\x00"), GRAPH)
    monkeypatch.setattr(wire, "MAX_FIELDS", 1)
    with pytest.raises(WireError, match="1 fields"):
        check_fields(memoryview(node), GRAPH)
