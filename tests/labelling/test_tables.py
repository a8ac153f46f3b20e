from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from pyarrow import parquet

from nlvid_cli.errors import OutputError
from nlvid_cli.labelling.tables import COLUMNS, make_table
from tests.labelling.test_ledger import _failed, _row, _write

ODD = os.fsdecode(b'caf\xe9, "x".mp4')


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    output = tmp_path / "labels.jsonl"
    _write(output, [_row("a.mp4"), _failed(ODD)])
    return output


def test_csv(rows: Path, tmp_path: Path) -> None:
    make_table(rows, "csv", tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        good, bad = csv.DictReader(stream)
    assert tuple(good) == COLUMNS
    assert (good["video"], good["label"], good["index"], good["score"]) == (
        "a.mp4",
        'a "label", "backend": "',
        "1",
        "0.5",
    )
    assert json.loads(good["labels"]) == [{"label": 'a "label", "backend": "', "index": 1, "score": 0.5}]
    assert (good["clips"], good["unsure"], good["width"], good["error_type"]) == ("3", "false", "64", "")
    assert (bad["video"], bad["label"], bad["error_type"]) == (ODD, "", "UnreadableVideo")


def test_a_name_with_a_line_end_is_one_record(tmp_path: Path) -> None:
    names = ["a\rb.mp4", "c\nd.mp4", "e\r\n"]
    output, table = tmp_path / "labels.jsonl", tmp_path / "labels.csv"
    _write(output, [_row(name) for name in names])
    make_table(output, "csv", table)
    with table.open(encoding="utf-8", newline="") as stream:
        assert [row["video"] for row in csv.DictReader(stream)] == names
    assert table.read_bytes().count(b"\r\n") == 1
    assert b'\n"a\rb.mp4",' in table.read_bytes()


def test_parquet(rows: Path, tmp_path: Path) -> None:
    make_table(rows, "parquet", tmp_path / "labels.parquet")
    good, bad = parquet.read_table(tmp_path / "labels.parquet").to_pylist()
    assert tuple(good) == COLUMNS
    assert good["labels"] == [{"label": 'a "label", "backend": "', "index": 1, "score": 0.5}]
    assert (good["score"], good["clips"], good["unsure"], good["error_type"]) == (0.5, 3, False, None)
    assert (bad["video"], bad["labels"], bad["error_type"]) == ('caf?, "x".mp4', None, "UnreadableVideo")


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
def test_lines_of_wrong_types_are_left_out(
    rows: Path, tmp_path: Path, format_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = _row("b.mp4").record | {"views": 3, "warnings": 7, "predictions": [{"label": 1, "index": "q"}]}
    with rows.open("a") as stream:
        stream.write(json.dumps(hostile) + "\n")
    make_table(rows, format_name, tmp_path / "labels")
    assert "1 lines" in caplog.text


def test_labels_that_are_not_utf8(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    label = os.fsdecode(b"caf\xe9")
    record = _row("a.mp4").record | {"predictions": [{"label": label, "index": 0, "score": 1.0}], "warnings": [label]}
    output.write_text(json.dumps(record) + "\n")
    make_table(output, "csv", tmp_path / "labels.csv")
    assert b",caf\xe9,0,1.0," in (tmp_path / "labels.csv").read_bytes()
    make_table(output, "parquet", tmp_path / "labels.parquet")
    (row,) = parquet.read_table(tmp_path / "labels.parquet").to_pylist()
    assert (row["label"], row["labels"][0]["label"], row["warnings"]) == ("caf?", "caf?", ["caf?"])


def test_a_table_that_cannot_be_written_leaves_the_old_one(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv" / "inside").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"labels\.csv: .*labels\.jsonl is complete"):
        make_table(rows, "csv", tmp_path / "labels.csv")
    assert not list(tmp_path.glob(".*.part"))
