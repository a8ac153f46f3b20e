from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlvid_cli.errors import OutputError
from nlvid_cli.system.lock import locked


def test_two_at_a_time_are_kept_apart(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    code = (
        f"from pathlib import Path; from nlvid_cli.system.lock import locked\nwith locked(Path({str(output)!r})): pass"
    )
    with locked(output):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"labels.jsonl: another nlvid is writing it (process {os.getpid()} on " in second.stderr
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_full_disk_does_not_keep_from_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with locked(tmp_path / "labels.jsonl"):
        pass


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write there"), locked(tmp_path / "no" / "labels.jsonl"):
        pass
    assert not (tmp_path / "no").exists()
