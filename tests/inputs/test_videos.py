from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path

import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.inputs.videos import find_segments, find_videos, is_one_video
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.segment import Segment, Stretch


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _touch(*names: str, content: bytes = b"") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def test_a_file_that_is_named_is_taken_whatever_it_is_called() -> None:
    assert find_videos(["b.xyz", "-a.mp4", "b.xyz"]) == ["b.xyz", "-a.mp4"]


def test_a_folder_gives_its_videos_by_name() -> None:
    _touch("v/b.MP4", "v/a.mkv", "v/notes.txt", "v/deep/c.webm", "v/B/z.gif")
    assert find_videos(["v"]) == ["v/a.mkv", "v/b.MP4", "v/B/z.gif", "v/deep/c.webm"]


def test_a_folder_without_videos_is_told() -> None:
    _touch("v/notes.txt", "w/1.txt", "w/2.txt")
    with pytest.raises(UsageError, match=r"no video in v, w: 3 files passed over: 3 \.txt$"):
        find_videos(["v", "w"])
    _touch("v/frames/one.JPG", "v/frames/two.JPG")
    with pytest.raises(UsageError, match=r"2 \.jpg, 1 \.txt; .* need numbers"):
        find_videos(["v"])


def test_folders_of_numbered_pictures_are_videos(caplog: pytest.LogCaptureFixture) -> None:
    _touch("v/run/img_1.jpg", "v/run/img_2.jpg", "v/run/flow_x_1.jpg", "v/walk/0001.png", "v/walk/0002.png", "v/a.txt")
    _touch("v/one/0001.jpg")  # a single picture
    with caplog.at_level(logging.INFO):
        assert find_videos(["v"]) == ["v/run", "v/walk"]
    assert "3 files passed over: 2 .jpg, 1 .txt" in caplog.text
    assert find_videos(["v/run", "v/run/"]) == ["v/run"]


def test_pictures_beside_videos_are_none() -> None:
    _touch("v/a.mp4", "v/1.jpg", "v/2.jpg", "v/thumbnails/1.jpg", "v/thumbnails/2.jpg")
    assert find_videos(["v"]) == ["v/a.mp4"]


def test_what_all_names_leave_out_is_one_note(caplog: pytest.LogCaptureFixture) -> None:
    _touch("v/a.mp4", "v/notes.txt", "v/deep/b.jpg", "w/c.mp4", "w/c.txt", "w/labels.csv")
    with caplog.at_level(logging.INFO, "nlvid_cli"):
        assert find_videos(["v", "w/c*", "w/*"]) == ["v/a.mp4", "w/c.mp4", "w/c.txt"]
    assert [record.getMessage() for record in caplog.records] == ["3 files passed over: 1 .txt, 1 .jpg, 1 .csv"]


def test_each_file_is_passed_over_once_however_it_is_named(caplog: pytest.LogCaptureFixture) -> None:
    _touch("v/a.mp4", "v/deep/b.txt", "v/c.dat", "v/labels.csv")
    with caplog.at_level(logging.INFO, "nlvid_cli"):
        assert find_videos(["v", "./v/deep", "v/c.dat", "v//*", "v"]) == ["v/a.mp4", "v/c.dat"]
    assert "2 files passed over: 1 .csv, 1 .txt" in caplog.text


def test_folders_that_a_pattern_matches_are_told(caplog: pytest.LogCaptureFixture) -> None:
    _touch("v/a.mp4", "v/deep/b.mp4")
    with caplog.at_level(logging.INFO, "nlvid_cli"):
        assert find_videos(["v/*"]) == ["v/a.mp4"]
        assert "v/*: 1 folder passed over" in caplog.text
        caplog.clear()
        assert find_videos(["v/**"]) == ["v/a.mp4", "v/deep/b.mp4"]
        assert not caplog.records


def test_a_list_from_here_or_from_beside_itself() -> None:
    _touch("lists/near.mp4", "here.mp4")
    Path("lists/a.txt").write_bytes("\ufeffhere.mp4\r\n\r\nnear.mp4\nnowhere.mp4\n".encode())
    assert find_videos(["@lists/a.txt"]) == ["here.mp4", "lists/near.mp4", "nowhere.mp4"]


def test_a_missing_list_is_told() -> None:
    with pytest.raises(UsageError, match=r"@no\.txt: cannot read the list"):
        find_videos(["@no.txt"])


def test_a_file_whose_name_begins_with_an_at_sign() -> None:
    _touch("@home.mp4")
    assert find_videos(["@home.mp4"]) == ["@home.mp4"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b.mp4\ncaf\xe9.mp4\n")))
    assert [os.fsencode(str(path)) for path in find_videos(["-"])] == [b"a b.mp4", b"caf\xe9.mp4"]


def test_is_one_video() -> None:
    _touch("v/a.mp4", "[a].mp4", "t.csv")
    assert all(map(is_one_video, (["v/a.mp4"], ["[a].mp4"], ["nowhere.mp4"])))
    assert not any(map(is_one_video, (["v"], ["-"], ["@a"], ["a.mp4", "b.mp4"], ["*.mp4"], ["t.csv"])))


def test_patterns() -> None:
    _touch("v/a1.mp4", "v/a2.xyz", "v/deep/a3.mp4", "v/[x].mp4")
    assert find_videos(["v/a*"]) == ["v/a1.mp4", "v/a2.xyz"]
    assert find_videos(["v/**/a*.mp4"]) == ["v/a1.mp4", "v/deep/a3.mp4"]
    assert find_videos(["v/[x].mp4"]) == ["v/[x].mp4"]
    with pytest.raises(UsageError, match=r"nothing matches w/\*"):
        find_videos(["w/*"])


def test_each_once_however_it_is_named() -> None:
    _touch("v/a.mp4")
    assert find_videos(["v/a.mp4", "./v//a.mp4", "v", "v/*"]) == ["v/a.mp4"]
    assert find_videos([os.path.abspath("v"), "v"]) == [os.path.abspath("v/a.mp4")]


@pytest.mark.parametrize("name", ["v", "./v", ".//v/.", "v/", ".", "./v/*", "@./list.txt"])
def test_a_folder_gives_the_same_paths_however_it_is_spelled(name: str) -> None:
    _touch("v/a.mp4", "v/-b:c.mp4")
    Path("list.txt").write_text("./v/-b:c.mp4\nv//a.mp4\n")
    assert find_videos([name]) == ["v/-b:c.mp4", "v/a.mp4"]


def test_what_paths_mean_stays() -> None:
    _touch("b/a.mp4", "a.mp4")
    Path("b/deep").mkdir()
    os.symlink("b/deep", "link")
    names = ["link/../a.mp4", "a.mp4"]  # the first is b/a.mp4
    assert find_videos(names) == names
    addresses = ["http://host//a.mp4", "http://host/./a.mp4"]
    assert find_videos(addresses) == [RemotePath(address) for address in addresses]


def test_tables() -> None:
    _touch("lists/near.mp4", "here.mp4")
    Path("lists/a.csv").write_text("label,path\nx,here.mp4\ny,near.mp4\nz,s3://bucket/far.mp4\n")
    assert find_videos(["lists/a.csv"]) == ["here.mp4", "lists/near.mp4", RemotePath("s3://bucket/far.mp4")]
    Path("b.csv").write_text("label;split\nx;train\n")
    with pytest.raises(UsageError, match=r"b\.csv: no column of paths"):
        find_videos(["b.csv"])


def test_patterns_of_tables() -> None:
    for name in ("t1", "t2", "[t]"):
        Path(f"{name}.csv").write_text(f"path,label\n{name}/a.mp4,x\n")
    assert find_videos(["t*.csv"]) == ["t1/a.mp4", "t2/a.mp4"]
    assert find_videos(["[t].csv"]) == ["[t]/a.mp4"]
    _touch("v/a.mp4")
    Path("v/labels.csv").write_text("label;split\nx;train\n")
    assert find_videos(["v/*"]) == ["v/a.mp4"]  # a pattern of videos
    with pytest.raises(UsageError, match=r"nothing matches u\*\.csv"):
        find_videos(["u*.csv"])


def test_a_list_in_utf16() -> None:
    Path("list.txt").write_bytes("a.mp4\r\nb.mp4\r\n".encode("utf-16"))
    assert find_videos(["@list.txt"]) == ["a.mp4", "b.mp4"]


def test_stretches_of_a_table_are_entries() -> None:
    _touch("v/a.mp4", "v/b.mp4")
    Path("v/t.csv").write_text("video,start,end\na.mp4,0,1\na.mp4,1,2\n./a.mp4,1,2\nb.mp4,,\n")
    assert find_segments(["v/t.csv", "v"]) == [
        Segment("v/a.mp4", Stretch(0.0, 1.0)), Segment("v/a.mp4", Stretch(1.0, 2.0)), Segment("v/b.mp4"),
        Segment("v/a.mp4"),
    ]  # fmt: skip
    assert find_videos(["v/t.csv"]) == ["v/a.mp4", "v/b.mp4"]


def test_lists_of_folders_of_frames() -> None:
    _touch("l/run 1/img_1.jpg", "l/run 1/img_2.jpg", "l/walk/img_1.jpg", "l/walk/img_2.jpg", "l/a.mp4")
    Path("l/list.txt").write_text("run 1 2 0\nwalk 1 1\nwalk\na.mp4\na.mp4 300 0\n")
    assert find_segments(["@l/list.txt"]) == [
        Segment("l/run 1", Stretch(end_frame=2)), Segment("l/walk", Stretch(end_frame=1)), Segment("l/walk"),
        Segment("l/a.mp4"), Segment("a.mp4 300 0"),
    ]  # fmt: skip


def test_tables_that_count_frames() -> None:
    _touch("l/run/img_1.jpg", "l/run/img_2.jpg", "l/a.mp4")
    Path("l/t.csv").write_text("path,total_frames,label\nrun,1,x\na.mp4,300,y\n")
    assert find_segments(["l/t.csv"]) == [Segment("l/run", Stretch(end_frame=1)), Segment("l/a.mp4")]
