from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlvid_cli.labelling.shards import Shard
from tests.conftest import Run
from tests.labelling.test_ledger import _row, _write

TABLE = "path\na.mp4\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with inputs of several kinds."""
    monkeypatch.chdir(tmp_path)
    for name in ("talk.csv", "list.txt", "a.mp4"):
        (tmp_path / name).write_text(TABLE)
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "b.mp4").write_text(TABLE)
    (tmp_path / "other.csv").symlink_to("talk.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["talk.csv", "-o", "talk.csv"], "talk.csv"),
        (["talk.csv", "-o", "./v/../talk.csv"], "talk.csv"),
        (["talk.csv", "-o", "talk.jsonl", "-f", "csv"], "talk.csv"),
        (["other.csv", "-o", "talk.csv"], "talk.csv"),
        (["talk.csv", "-o", "other.csv"], "talk.csv"),
        (["@list.txt", "-o", "list.txt", "--overwrite"], "list.txt"),
        (["a.mp4", "-o", "a.mp4", "--overwrite"], "a.mp4"),
        (["v", "-o", "v/b.mp4", "--overwrite"], "v/b.mp4"),
    ],
)
def test_an_input_is_not_written_over(run: Run, folder: Path, arguments: list[str], kept: str) -> None:
    outcome = run("label", *arguments)
    assert outcome.status == 2
    assert f"{Path(kept).name}: is an input" in outcome.err
    assert (folder / kept).read_text() == TABLE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["v", "-o", "-"], "must be a file, not -"),
        (["v", "-o", "/dev/full"], "/dev/full: is not a regular file"),
        (["v", "-o", "/dev/null"], "/dev/null: is not a regular file"),
        (["v", "-o", "v"], "v: is a folder"),
        (["v", "-o", "labels.csv", "-f", "parquet"], "--format parquet contradicts labels.csv"),
        (["v", "-o", "labels.parquet", "-f", "jsonl"], "--format jsonl contradicts labels.parquet"),
        (["--merge", "-o", "labels.jsonl", "--dry-run"], "--merge cannot be combined with --dry-run"),
        (["--merge", "-o", "labels.jsonl", "--shard", "1/2"], "--merge cannot be combined with --shard"),
        (["--merge", "-o", "no/labels.jsonl"], "no/labels.jsonl: cannot look for shards beside it (No such file"),
        (["v", "-o", "labels.jsonl", "--timeout", "inf"], "--timeout"),
        (["v", "-o", "labels.jsonl", "--timeout", "nan"], "--timeout"),
        (["v", "-o", "labels.jsonl", "--memory", "inf"], "--memory"),
        (["v", "-o", "labels.jsonl", "--worker-memory", "inf"], "--worker-memory"),
        (["v", "-o", "labels.jsonl", "--worker-memory", "1e300"], "--worker-memory"),
        (["v", "-o", "labels.jsonl", "--workers", "1000000"], "--workers"),
    ],
)
def test_outputs_and_limits_that_cannot_be(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    before = sorted(folder.iterdir())
    outcome = run("label", *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert sorted(folder.iterdir()) == before


def test_an_output_behind_a_link_is_written_there(run: Run, tmp_path: Path) -> None:
    real, link = tmp_path / "far" / "labels.jsonl", tmp_path / "near" / "labels.jsonl"
    table, table_link = real.with_suffix(".csv"), link.with_suffix(".csv")
    shard = Shard(1, 1).output(tmp_path / "shard.jsonl")
    for file in (real, link):
        file.parent.mkdir()
    for file, name in ((real, link), (table, table_link)):
        file.touch()
        name.symlink_to(file)
    _write(shard, [_row("a")])
    assert run("label", "--merge", shard, "-o", link, "-f", "csv").status == 0
    assert link.is_symlink()
    assert table_link.is_symlink()
    assert json.loads(real.read_text())["video"] == "a"
    assert table.read_text().count("\n") == 2
    assert (real.parent / ".labels.jsonl.lock").exists()
    assert not (link.parent / ".labels.jsonl.lock").exists()
