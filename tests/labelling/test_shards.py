from __future__ import annotations

import json
import os
from itertools import chain
from pathlib import Path

import pytest

from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.labelling.ledger import read_rows
from nlvid_cli.labelling.rows import Row
from nlvid_cli.labelling.shards import Shard, merge, shard_files
from nlvid_cli.system.lock import locked
from nlvid_cli.video.segment import Segment
from tests.labelling.test_ledger import _failed, _row, _videos, _write


def test_every_video_is_in_exactly_one_shard_and_shards_are_about_equal() -> None:
    videos = [f"v/{number}.mp4" for number in range(3000)] + [os.fsdecode(b"caf\xe9.mp4")]
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    held = [[video for video in videos if shard.holds(Segment(video))] for shard in shards]
    assert sorted(chain(*held)) == sorted(videos)
    assert all(900 < len(part) < 1100 for part in held)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/2/3", "-1/3", "1/0"])
def test_a_shard_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError, match="from 1/COUNT to COUNT/COUNT"):
        Shard.parse(text)


def test_merged_shards_hold_each_video_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = tmp_path / "labels.jsonl"
    videos = [str(tmp_path / f"{name}.mp4") for name in "abc"]
    first, third = (Shard(number, 3).output(output) for number in (1, 3))
    assert (first.name, third.name) == ("labels.1-of-3.jsonl", "labels.3-of-3.jsonl")
    _write(first, [_row(videos[0]), _failed(videos[1])])
    _write(third, [_row(videos[1]), _row(videos[2])])
    third.write_bytes(third.read_bytes() + b'{"schema": 1, "vid')
    assert shard_files(output) == [first, third]
    assert merge(shard_files(output), output) == (3, 0)
    assert _videos(output) == videos
    assert "labels.3-of-3.jsonl: left out 1 lines" in caplog.text
    assert merge([first], output) == (3, 0)
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    ("in_output", "in_shard", "winner"),
    [
        ((2.0, None), (1.0, None), "output"),  # a stale shard
        ((1.0, None), (2.0, None), "shard"),
        ((2.0, "UnreadableVideo"), (1.0, None), "output"),  # it was broken since
        ((1.0, None), (1.0, "DecodeTimeout"), "output"),
        ((1.0, "DecodeTimeout"), (1.0, None), "shard"),
        ((1.0, None), (1.0, None), "shard"),
        ((1.0, None), (None, "VideoNotFound"), "output"),
        ((None, None), (1.0, None), "shard"),
        ((None, "RemoteFailure"), (None, "DecodeTimeout"), "shard"),
    ],
)
def test_which_of_two_rows_counts(
    tmp_path: Path,
    in_output: tuple[float | None, str | None],
    in_shard: tuple[float | None, str | None],
    winner: str,
) -> None:
    output = tmp_path / "labels.jsonl"
    shard = Shard(1, 1).output(output)
    for path, (modified, error), mark in ((output, in_output, "output"), (shard, in_shard, "shard")):
        file = None if modified is None else {"size_bytes": 1, "modified_seconds": modified}
        record = (_failed("a") if error else _row("a")).record | {"mark": mark, "file": file}
        _write(path, [Row.parse((json.dumps(record) + "\n").encode())])
    assert merge([shard], output) == (1, int((in_output if winner == "output" else in_shard)[1] is not None))
    assert [row.record["mark"] for row in read_rows(output)] == [winner]


def test_the_last_row_of_a_file_counts_against_other_files(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    shard = Shard(1, 1).output(output)
    shard.write_bytes(_row("a", score=0.1).line + _row("b").line + _row("a", score=0.2).line)
    assert merge([shard], output) == (2, 0)
    assert [row.record["predictions"][0]["score"] for row in read_rows(output)] == [0.5, 0.2]


def test_shards_that_are_being_written_are_not_merged(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    shard = Shard(1, 1).output(output)
    _write(shard, [_row("a")])
    with locked(shard), pytest.raises(OutputError, match="another nlvid is writing it"):
        merge([shard], output)
    assert not output.exists()


def test_shards_are_merged_once_however_they_are_named(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    shard = Shard(1, 1).output(output)
    _write(shard, [_row("a")])
    _write(output, [_row("b")])
    (tmp_path / "link").symlink_to(tmp_path)
    again = [tmp_path / "link" / path.name for path in (shard, output)]
    assert merge([shard, *again, output], output) == (2, 0)


def test_shards_are_read_where_no_lock_can_be_made(tmp_path: Path) -> None:
    shard = tmp_path / "labels.1-of-1.jsonl"
    _write(shard, [_row("a")])
    (tmp_path / f".{shard.name}.lock").mkdir()  # as little as in a folder that is read-only; root may write in these
    assert merge([shard], tmp_path / "labels.jsonl") == (1, 0)
    with pytest.raises(OutputError, match="cannot write there"):
        merge([], shard)


def test_nothing_to_merge(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    with pytest.raises(UsageError, match="there are no shards beside it"):
        shard_files(output)
    for count in (2, 3):
        Shard(1, count).output(output).touch()
    with pytest.raises(UsageError, match=r"shards of different counts \(2, 3\)"):
        shard_files(output)
    with pytest.raises(OutputError, match="no such file"):
        merge([tmp_path / "none.jsonl"], output)
    with pytest.raises(UsageError, match="cannot look for shards beside it"):
        shard_files(tmp_path / "none" / "labels.jsonl")
