from __future__ import annotations

import os

import pytest

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.text import read_lines, read_text
from tests.datasets.conftest import Make


@pytest.mark.parametrize(
    "content",
    [
        "a,b\nç,d\n".encode(),
        "a,b\r\nç,d".encode(),
        "a,b\rç,d\r".encode(),
        "\ufeffa,b\nç,d\n".encode(),
        "a,b\nç,d\n".encode("utf-16"),
        "\ufeffa,b\r\nç,d".encode("utf-16-be"),
    ],
)
def test_lines_by_whatever_program(write: Make, content: bytes) -> None:
    assert read_lines(write("a.csv", content)) == ["a,b", "ç,d"]


def test_bytes_that_are_not_utf8_are_kept_where_paths_may_hold_them(write: Make) -> None:
    assert read_text(write("a.csv", b"caf\xe9.mp4\r\n"), keep_bytes=True) == os.fsdecode(b"caf\xe9.mp4\r\n")
    with pytest.raises(DataSetError, match="GiB"):
        read_text(write("a.csv", b"12345"), max_bytes=4)


def test_other_line_ends_of_unicode_are_text(write: Make) -> None:
    assert read_lines(write("a.csv", "a\u2028b\x0bc\n\nd")) == ["a\u2028b\x0bc", "", "d"]


def test_no_text(write: Make) -> None:
    with pytest.raises(DataSetError, match=r"a\.csv, line 3: .*0xe9.*UTF-8"):
        read_lines(write("a.csv", b"path,label\na.mp4,run\ncaf\xe9.mp4,run\n"))
    with pytest.raises(DataSetError, match=r"a\.bin: not a text"):
        read_lines(write("a.bin", b"\0\0\0 ftypisom"))
    with pytest.raises(DataSetError, match=r"none\.csv: .*No such file"):
        read_lines(write("a.csv", b"").parent / "none.csv")
