from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nlvid_cli.inputs.folder import videos_below
from nlvid_cli.inputs.passed_over import PassedOver
from tests.clips import make_clip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _touch(*names: str, content: bytes = b"") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def _look(folder: str = "v") -> tuple[list[str], PassedOver]:
    passed_over = PassedOver()
    return [name.removeprefix("v/") for name in videos_below(folder, passed_over.add)], passed_over


def test_suffixes_of_videos_in_any_case() -> None:
    names = [
        *("a.h264", "b.264", "c.H265", "d.265", "e.hevc", "f.ivf", "g.nut", "h.ogm", "i.rm", "j.rmvb", "k.dav", "l.qt"),
        *("m.tod", "n.LRV", "o.insv", "p.mpe", "q.mpv", "r.wtv", "s.trp", "t.amv", "u.apng", "v.m2v", "w.dvr-ms"),
        *("x.3gpp", "y.f4v", "z.Mp4"),
    ]
    _touch(*(f"v/{name}" for name in names))
    assert _look() == (names, PassedOver())


def test_files_without_a_telling_name_are_known_by_their_content() -> None:
    Path("v").mkdir()
    for name, container in (("a", "mp4"), ("b.123", "matroska"), ("c.ts", "mpegts"), ("d", "avi"), ("e.mod", "dvd")):
        codec = "mpeg2video" if name in ("c.ts", "e.mod") else "mpeg4"
        make_clip(Path("v", name), frames=3, container_format=container, codec=codec)
    _touch("v/script.ts", "v/module.mts", content=b"export const G = 1;\n" * 400)
    _touch("v/notes", content=b"G" * 4096)
    _touch("v/sound", content=b"\0\0\0\x20ftypM4A \0\0\0\0")
    _touch("v/letter.doc", content=b"\0\0\0\x20ftypisom\0\0\0\0")
    _touch("v/numbers.dat", content=bytes(4096))
    found, passed_over = _look()
    assert found == ["a", "b.123", "c.ts", "d", "e.mod"]
    assert str(passed_over) == "6 files passed over: 2 without a suffix, 1 .doc, 1 .mts, 1 .dat, 1 .ts"


def test_hidden_files_do_not_count() -> None:
    _touch("v/a.mp4", "v/._a.mp4", "v/.DS_Store", "v/Thumbs.db", "v/desktop.ini", "v/.labels.jsonl.lock")
    assert _look() == (["a.mp4"], PassedOver())


def test_a_file_that_cannot_be_read_counts_by_its_name() -> None:
    os.mkdir("v")
    for name in ("a.ts", "b.dat", "c"):
        os.mkfifo(f"v/{name}")
    found, passed_over = _look()
    assert found == ["a.ts"]
    assert str(passed_over) == "2 files passed over: 1 .dat, 1 without a suffix"


def test_links_in_circles_end_and_folders_come_once() -> None:
    _touch("v/deep/a.mp4")
    os.symlink("..", "v/deep/up")
    os.symlink("itself", "v/itself")
    os.symlink("deep", "v/again")
    os.symlink(Path("v/deep/a.mp4").absolute(), "v/link.mp4")
    assert _look()[0] == ["link.mp4", "again/a.mp4"]


def test_a_folder_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _touch("v/a.mp4", "v/closed/b.mp4")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path == "v/closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert _look()[0] == ["a.mp4"]
    assert "v/closed: cannot open this folder (Permission denied)" in caplog.text


def test_a_large_folder_is_read_quickly(folder: Path) -> None:
    for number in range(20):
        (folder / "v" / f"{number:02}").mkdir(parents=True)
        for file in range(1000):
            suffix = ("mp4", "txt", "dat", "x1")[file % 4]
            os.close(os.open(folder / "v" / f"{number:02}" / f"{file}.{suffix}", os.O_CREAT))
    began = time.process_time()
    found, passed_over = _look()
    assert len(found) == 5_000
    assert passed_over.kinds.total() == 15_000
    assert time.process_time() - began < 4


def test_real_raw_streams_and_ogg(shared: Path) -> None:
    folder = shared / "videos" / "wild" / "folder_h264"
    found, passed_over = _look(str(folder))
    assert [Path(path).name for path in found] == ["c.ogg", "cam01.h264", "cam02.264", "ok.mp4"]
    assert not passed_over
