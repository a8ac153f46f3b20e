from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from nlvid_cli.commands.inputs import expand_inputs, is_one_video
from nlvid_cli.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_a_file_that_is_named_is_taken_whatever_it_is_called() -> None:
    assert expand_inputs(["b.xyz", "-a.mp4", "b.xyz"]) == ["b.xyz", "-a.mp4"]


def test_a_folder_gives_its_videos_by_name() -> None:
    _touch("v/b.MP4", "v/a.mkv", "v/notes.txt", "v/deep/c.webm", "v/B/z.gif")
    assert expand_inputs(["v"]) == ["v/a.mkv", "v/b.MP4", "v/B/z.gif", "v/deep/c.webm"]


def test_a_folder_without_videos_is_told() -> None:
    _touch("v/notes.txt")
    with pytest.raises(UsageError, match="no video in v"):
        expand_inputs(["v"])


def test_a_list_from_here_or_from_beside_itself() -> None:
    _touch("lists/near.mp4", "here.mp4")
    Path("lists/a.txt").write_bytes("\ufeffhere.mp4\r\n\r\nnear.mp4\nnowhere.mp4\n".encode())
    assert expand_inputs(["@lists/a.txt"]) == ["here.mp4", "lists/near.mp4", "nowhere.mp4"]


def test_a_missing_list_is_told() -> None:
    with pytest.raises(UsageError, match=r"@no\.txt: cannot read the list"):
        expand_inputs(["@no.txt"])


def test_a_file_whose_name_begins_with_an_at_sign() -> None:
    _touch("@home.mp4")
    assert expand_inputs(["@home.mp4"]) == ["@home.mp4"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b.mp4\ncaf\xe9.mp4\n")))
    assert [os.fsencode(path) for path in expand_inputs(["-"])] == [b"a b.mp4", b"caf\xe9.mp4"]


def test_is_one_video() -> None:
    _touch("v/a.mp4", "[a].mp4", "t.csv")
    assert all(map(is_one_video, (["v/a.mp4"], ["[a].mp4"], ["nowhere.mp4"])))
    assert not any(map(is_one_video, (["v"], ["-"], ["@a"], ["a.mp4", "b.mp4"], ["*.mp4"], ["t.csv"])))
