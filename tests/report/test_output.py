from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from nlvid_cli.commands.classify import classify
from nlvid_cli.errors import OutputError
from nlvid_cli.report import RENDERERS, ReportOptions
from nlvid_cli.report.output import open_report, open_whole
from tests.report.samples import FAILURE, PREDICTION


def test_a_file_appears_whole_and_with_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "labels.jsonl"
    target.write_text("old")
    with open_report("jsonl", target, ReportOptions()) as report:
        report.add(PREDICTION, 1.0)
        assert target.read_text() == "old"
    assert len(target.read_text().splitlines()) == 1
    (tmp_path / "usual").touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.jsonl", "usual"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_what_is_done_is_kept_when_the_work_ends_early(tmp_path: Path, end: type[BaseException]) -> None:
    target = tmp_path / "labels.json"

    def work() -> None:
        with open_report("json", target, ReportOptions()) as report:
            report.add(PREDICTION, 1.0)
            report.add(FAILURE, 1.0)
            raise end

    with pytest.raises(end):
        work()
    assert len(json.loads(target.read_text())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


def test_nothing_done_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "labels.json"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), open_report("json", target, ReportOptions()):
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for target in (tmp_path / "none" / "labels.json", tmp_path):
        with pytest.raises(OutputError, match="cannot write"), open_report("json", target, ReportOptions()):
            pytest.fail("must not open")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_and_leaves_no_part(tmp_path: Path) -> None:
    target = tmp_path / "labels.jsonl"
    with pytest.raises(OutputError, match="No space left"), open_report("jsonl", target, ReportOptions()):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_the_file_behind_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    for name, there in (("old.txt", True), ("new.txt", False)):
        real, link = tmp_path / "far" / name, tmp_path / name
        link.symlink_to(real)
        if there:
            real.touch()
        with open_whole(link) as stream:
            stream.write("words")
        assert link.is_symlink()
        assert real.read_text() == "words"
    assert len(list(tmp_path.rglob("*"))) == 5


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with open_whole(pipe) as stream:
            stream.write("words")
        assert os.read(reader, 100) == b"words"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_stdout_by_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with open_whole(Path("/dev/stdout")) as stream:
        stream.write("words\n")
    print("after")
    assert capfd.readouterr().out == "before\nwords\nafter\n"


def test_the_command_offers_every_renderer() -> None:
    assert list(get_args(get_type_hints(classify)["format_"])) == list(RENDERERS)
