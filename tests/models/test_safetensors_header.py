from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from nlvid_cli.errors import ModelFileError, UnsafeFile
from nlvid_cli.models.formats.opening import open_file
from nlvid_cli.models.model_file import open_checkpoint, read_card
from nlvid_cli.models.safetensors_header import MAX_TENSORS, TYPES, check_header

READERS = [open_file, open_checkpoint, read_card]


def _write(path: Path, header: object, size_bytes: int) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size_bytes))
    return path


def _of_type(path: Path, kind: object, bits: int = 8) -> Path:
    return _write(path, {"a": {"dtype": kind, "shape": [8], "data_offsets": [0, bits]}}, bits)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        ("F4", 4),
        ("F6_E2M3", 6),
        ("F6_E3M2", 6),
        ("F8_E8M0", 8),
        ("F8_E4M3", 8),
        ("C64", 64),
        ("I4", 4),
        ("OBJ", 8),
        ("X" * 99, 8),
    ],
)
def test_types_that_are_no_plain_numbers_are_refused_by_name(
    read: object, kind: str, bits: int, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=kind[:20]):
        read(_of_type(tmp_path / "a.safetensors", kind, bits))  # type: ignore[operator]


def test_the_shared_file_of_type_f4(shared: Path) -> None:
    with pytest.raises(ModelFileError, match="'F4'"):
        open_file(shared / "hostile" / "s_F4.safetensors")


@pytest.mark.parametrize("kind", TYPES)
def test_plain_numbers_are_read(kind: str, tmp_path: Path) -> None:
    bits = {"BOOL": 8}.get(kind) or int(kind.lstrip("BFUI"))
    (array,) = open_file(_of_type(tmp_path / "a.safetensors", kind, bits)).values()
    assert array.shape == (8,)
    assert not array.any()


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b'{"a": 1}',
        b'{"a": {"dtype": 7}}',
        b'{"a": {"dtype": ["F32"]}}',
        b'{"a": NaN}',
        b"[" * 100_000,
        b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "a": {}}',
        b"{\xff}",
    ],
)
def test_headers_that_are_wrong(header: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        check_header(_write(tmp_path / "a.safetensors", header, 0), "a")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("count", [MAX_TENSORS + 1, 300_000])
def test_too_many_tensors_are_refused_before_anything_is_made_of_them(read: object, count: int, tmp_path: Path) -> None:
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(f'"{number}":{entry}' for number in range(count)) + "}"
    path = _write(tmp_path / "a.safetensors", header.encode(), 0)
    began = time.process_time()
    with pytest.raises(UnsafeFile, match="tensors"):
        read(path)  # type: ignore[operator]
    assert time.process_time() - began < 3
