from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from nlvid_cli.errors import DataSetError, UsageError
from nlvid_cli.inputs.path_list import PathRow, read_path_rows
from nlvid_cli.video.segment import Stretch

AB = ["v/a.mp4", "v/b.mp4"]


def read_paths(file: Path) -> list[str]:
    return [row.path for row in read_path_rows(file)]


@pytest.mark.parametrize(
    "text",
    [
        "path\nv/a.mp4\nv/b.mp4\n",
        "Video\r\nv/a.mp4\r\nv/b.mp4",
        "\ufefffile\nv/a.mp4\n\nv/b.mp4\n",
        "path,note,note\nv/a.mp4,1,2\nv/b.mp4,3\n",
        "note;path\nsay, what;v/a.mp4\n;v/b.mp4\n",
        "label\tpath\nwalk, or run\tv/a.mp4\nx;y\tv/b.mp4\n",
        "label|video path\nx|v/a.mp4\ny|v/b.mp4\n",
        'label,"path"\n"two\nlines, ""so""", v/a.mp4\n[1,"v/b.mp4"\n',
        "label,path\nx,v/a.mp4\ny,\nz,  \nshort\nx,v/b.mp4\n",
        "youtube_id,time_start,path\nx,1,v/a.mp4\ny,2,v/b.mp4\n",
        "v/a.mp4\n\nv/b.mp4\n",
        "v/a.mp4,walk\nv/b.mp4,run\n",
        "walk;v/a.mp4\nrun;v/b.mp4\n",
        "v/a.mp4 0\nv/b.mp4 1\n",
        "sep=;\r\npath;note\r\nv/a.mp4;x, y\r\nv/b.mp4;y\r\n",
        '"v/a.mp4"\n"v/b.mp4"\n',
    ],
)
def test_tables_of_all_kinds(tmp_path: Path, text: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(text.encode())
    assert read_paths(file) == AB
    file.write_bytes(text.encode("utf-16"))
    assert read_paths(file) == AB


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("path,size\nvideos/0001,3\nvideos/0002,4\n", ["videos/0001", "videos/0002"]),
        ("videos/0001\nvideos/0002\n", ["videos/0001", "videos/0002"]),
        ("my first clip.mp4\nother clip.mp4\n", ["my first clip.mp4", "other clip.mp4"]),
        ("videos/a, b.mp4\nvideos/c.mp4\n", ["videos/a, b.mp4", "videos/c.mp4"]),
        ('"videos/a, b.mp4",x\nvideos/c.mp4,y\n', ["videos/a, b.mp4", "videos/c.mp4"]),
        ("path\nvideos/a, b.mp4\nvideos/c.mp4\n", ["videos/a, b.mp4", "videos/c.mp4"]),
        ("x,s3://bucket/1\ny,s3://bucket/2\n", ["s3://bucket/1", "s3://bucket/2"]),
        ("path,label\n", []),
        ("\n \n", []),
        ("", []),
        ('""\n', []),
        ('"a\nb",path\nx,c.mp4\n', ["c.mp4"]),
    ],
)
def test_paths_as_they_are(tmp_path: Path, text: str, paths: list[str]) -> None:
    (tmp_path / "table.tsv").write_text(text)
    assert read_paths(tmp_path / "table.tsv") == paths


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"path,label\ncaf\xe9.mp4,x\n")
    assert read_paths(tmp_path / "table.csv") == [os.fsdecode(b"caf\xe9.mp4")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"label;split\nx;train\n", "column .*'label;split'"),
        (b"label,split\nx\n", "column"),
        (b",,,\n", "column"),
        (b"x" * 200_000, r"table\.csv, line 1: "),
        (b"where\nv/a.mp4\nv/b.mp4\n", "column"),
        (b"where,label\nv/a.mp4,x\n", "column"),
        (b'\npath,label\nb.mp4,"y\nc.mp4,z\n', r"table\.csv, line 3: .*quote"),
        (b"PK\3\4\0\0", "text"),
        (b"\xff\xfea", "UTF-8"),
    ],
)
def test_what_is_no_table_of_paths(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_paths(tmp_path / "table.csv")


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    for name in ("no.csv", "no.parquet"):
        with pytest.raises(UsageError, match=r"no\.\w+: cannot be read"):
            read_paths(tmp_path / name)


@pytest.mark.parametrize(
    ("values", "paths"),
    [
        (["a.mp4", None, "", "b.mp4"], ["a.mp4", "b.mp4"]),
        ([b"caf\xe9.mp4", None, b"b.mp4"], [os.fsdecode(b"caf\xe9.mp4"), "b.mp4"]),
        (pyarrow.array(["a.mp4", "b.mp4", "a.mp4"]).dictionary_encode(), ["a.mp4", "b.mp4", "a.mp4"]),
        (pyarrow.array([], pyarrow.string()), []),
    ],
)
def test_parquet(tmp_path: Path, values: Any, paths: list[str]) -> None:
    parquet.write_table(pyarrow.table({"n": [0] * len(values), "File": values}), tmp_path / "a.parquet")
    assert read_paths(tmp_path / "a.parquet") == paths


def test_parquet_that_names_no_paths(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"video": [None, {"bytes": b"", "path": "a"}]}), file)
    with pytest.raises(UsageError, match=r"column 'video' .*dict"):
        read_paths(file)
    parquet.write_table(pyarrow.table({"label": ["x"]}), file)
    with pytest.raises(UsageError, match=r"column of paths .*'label'"):
        read_paths(file)
    file.write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="cannot be read"):
        read_paths(file)


def test_stretches_of_a_table(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("video,start,end,label\na.mp4,0:02,4.5,x\na.mp4,4.5,,y\nb.mp4,,,x\nshort.mp4\n")
    assert read_path_rows(file) == [
        PathRow("a.mp4", Stretch(2.0, 4.5)), PathRow("a.mp4", Stretch(4.5)), PathRow("b.mp4"), PathRow("short.mp4"),
    ]  # fmt: skip
    file.write_text("label;start_frame;stop_frame;video\nx;10;55;a.mp4\n")
    assert read_path_rows(file) == [PathRow("a.mp4", Stretch(start_frame=10, end_frame=55))]
    file.write_text("video,start,end\na.mp4,1,2\na.mp4,3,2\n")
    with pytest.raises(DataSetError, match=r"table\.csv, line 3: end"):
        read_path_rows(file)


def test_stretches_of_a_parquet_file(tmp_path: Path) -> None:
    columns = {"end": [2.0, None, None], "path": ["a.mp4", "a.mp4", "b.mp4"], "start": [0.5, 2.0, None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert read_path_rows(tmp_path / "a.parquet") == [
        PathRow("a.mp4", Stretch(0.5, 2.0)), PathRow("a.mp4", Stretch(2.0)), PathRow("b.mp4"),
    ]  # fmt: skip


def test_columns_of_other_things_are_no_stretches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "t.csv").write_text("path,from,to\na.mp4,Anna,Ben\nb.mp4,Ben,Cid\n")
    with caplog.at_level(logging.INFO):
        assert read_path_rows(tmp_path / "t.csv") == [PathRow("a.mp4"), PathRow("b.mp4")]
    assert "from and to hold no times" in caplog.text
