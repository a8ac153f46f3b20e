"""Files that are whole or not there."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from nlvid_cli.system.atomic import atomic_file, behind_links, remove_leftovers


def test_the_file_appears_whole_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    with atomic_file(target) as part:
        part.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(target) as part:
        part.write_text(str(1 / 0))
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["rows.jsonl"]


@pytest.mark.parametrize(("error", "left"), [(KeyboardInterrupt, "so far"), (OSError, "old")])
def test_what_is_worth_keeping_is_kept(tmp_path: Path, error: type[BaseException], left: str) -> None:
    target = tmp_path / "rows.jsonl"
    target.write_text("old")
    with suppress(error), atomic_file(target, keep_on_error=lambda: True) as part:
        part.write_text("so far")
        raise error
    assert target.read_text() == left
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_permissions_are_those_of_the_old_file_or_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    with atomic_file(target):
        pass
    (tmp_path / "plain").touch()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    target.chmod(0o640)
    with atomic_file(target):
        pass
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nlvid_cli.system.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space"), atomic_file(tmp_path / "rows.jsonl") as part:
        part.write_text("rows")
    assert os.listdir(tmp_path) == []


def test_names_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    with atomic_file(target) as part:
        part.write_text("x")
    assert target.read_text() == "x"


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "[rows].jsonl"
    with atomic_file(target) as part:
        shutil.copy(part, part.with_name(part.name.replace(".part", "").replace(part.name[-9:-5], "0000") + ".part"))
    others = [".[rows].jsonl.lock", ".[rows].jsonl.csv.01234567.part", ".r.jsonl.01234567.part"]
    for name in others:
        (tmp_path / name).touch()
    assert len(os.listdir(tmp_path)) == 5
    remove_leftovers(target)
    assert sorted(os.listdir(tmp_path)) == sorted([target.name, *others])


def test_a_link_leads_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert behind_links(tmp_path / "link") == tmp_path / "file"
    assert behind_links(tmp_path / "plain") == tmp_path / "plain"


def test_a_file_that_is_read_only_can_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    target.write_text("old")
    target.chmod(0o440)
    with atomic_file(target) as part:
        assert part.stat().st_mode & 0o777 == 0o640
        part.write_text("new")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", 0o440)


def test_permissions_hold_where_a_library_writes_a_file_of_its_own(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "model") as part:
        part.unlink()
        os.close(os.open(part, os.O_CREAT, 0o600))
    (tmp_path / "plain").touch()
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "plain").stat().st_mode
