from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path

import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.inputs.videos import FrameFolders, find_segments, find_videos, is_one_video
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


def test_a_folder_that_looks_like_frames_says_so(caplog: pytest.LogCaptureFixture) -> None:
    _touch("v/run/img_1.jpg", "v/run/img_2.jpg", "v/walk/0001.png", "v/walk/0002.png", "a.mp4")
    with pytest.raises(UsageError, match=r"^v: no video, but 2 folders of pictures.*--frames --fps 25"):
        find_segments(["a.mp4", "v"])
    with pytest.raises(UsageError, match=r"^v/run: no video, but a folder of pictures.*--frames --fps 25"):
        find_segments(["v/run"])
    _touch("v/b.mp4")
    with caplog.at_level(logging.INFO, "nlvid_cli"):
        assert find_videos(["v"]) == ["v/b.mp4"]
    assert "v: it also holds 2 folders of pictures" in caplog.text
    assert "4 files passed over: 2 .jpg, 2 .png" in caplog.text


def test_folders_of_frames_are_videos_if_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    _touch("v/run10/img_1.jpg", "v/run10/img_2.jpg", "v/run10/flow_x_1.jpg", "v/run9/1.png", "v/run9/2.png", "v/a.txt")
    _touch("v/one/0001.jpg", "v/front.jpg", "v/back.jpg")  # a single picture, and some that are not numbered
    expected = [Segment("v/run9", fps=12.5), Segment("v/run10", fps=12.5)]
    for names in (["v"], ["v/run9", "v/run10/"], ["v/run*"]):
        assert find_segments(names, frames=FrameFolders(True, 12.5)) == expected
    assert "frames per second" not in caplog.text
    with caplog.at_level(logging.INFO, "nlvid_cli"):
        assert find_segments(["v"], frames=FrameFolders(True)) == [
            Segment("v/run9", fps=25.0), Segment("v/run10", fps=25.0),
        ]  # fmt: skip
    assert "25 frames per second are assumed (--fps)" in caplog.text
    assert "5 files passed over: 4 .jpg, 1 .txt" in caplog.text


def test_pictures_without_numbers_are_frames_of_the_folder_that_is_named() -> None:
    _touch("v/a.jpg", "v/b.jpg")
    assert find_segments(["v"], frames=FrameFolders(True, 10)) == [Segment("v", fps=10)]


def test_videos_and_folders_of_frames_side_by_side() -> None:
    _touch("v/run/1.jpg", "v/run/2.jpg", "v/run/run.mp4", "v/z.mkv")
    assert find_segments(["v", "b.mp4"], frames=FrameFolders(True, 10)) == [
        Segment("v/z.mkv"), Segment("v/run/run.mp4"), Segment("v/run", fps=10), Segment("b.mp4"),
    ]  # fmt: skip


def test_frames_that_are_not_there() -> None:
    _touch("v/a.mp4", "f/1.jpg", "f/2.jpg")
    with pytest.raises(UsageError, match="--frames: there is no folder of frames"):
        find_segments(["v"], frames=FrameFolders(True, 25))
    with pytest.raises(UsageError, match=r"--fps .*--frames"):
        find_segments(["v"], frames=FrameFolders(fps=25))
    with pytest.raises(UsageError, match=r"f/1\.jpg: a picture; name the folder"):
        find_segments(["f/1.jpg", "f/2.jpg"], frames=FrameFolders(True, 25))


def test_one_part_of_each_video() -> None:
    part = Stretch(1.0, 2.0)
    _touch("v/a.mp4", "v/b.mp4", "f/1.jpg", "f/2.jpg")
    assert find_segments(["v"], part) == [Segment("v/a.mp4", part), Segment("v/b.mp4", part)]
    assert find_segments(["f"], part, FrameFolders(True, 10)) == [Segment("f", part, 10)]
    Path("t.csv").write_text("video,start,end\nv/a.mp4,0,1\n")
    with pytest.raises(UsageError, match=r"v/a\.mp4 .*--start and --end"):
        find_segments(["t.csv"], part)


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
    for names in (["v/a.mp4"], ["[a].mp4"], ["nowhere.mp4"]):
        assert is_one_video(names, [Segment(names[0])])
    for names in (["v"], ["-"], ["@a"], ["a.mp4", "b.mp4"], ["*.mp4"], ["t.csv"]):
        assert not is_one_video(names, [Segment("v/a.mp4")])
    assert is_one_video(["./v/"], [Segment("v", fps=25)])


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
    for wanted in (False, True):  # a line that counts frames names a folder of them; one that does not needs --frames
        fps = 30.0 if wanted else 25.0
        assert find_segments(["@l/list.txt"], frames=FrameFolders(wanted, 30.0 if wanted else None)) == [
            Segment("l/run 1", Stretch(end_frame=2), fps), Segment("l/walk", Stretch(end_frame=1), fps),
            Segment("l/walk", fps=30.0 if wanted else None), Segment("l/a.mp4"), Segment("a.mp4 300 0"),
        ]  # fmt: skip


def test_tables_that_count_frames() -> None:
    _touch("l/run/img_1.jpg", "l/run/img_2.jpg", "l/a.mp4")
    Path("l/t.csv").write_text("path,total_frames,label\nrun,1,x\na.mp4,300,y\n")
    assert find_segments(["l/t.csv"], frames=FrameFolders(fps=10)) == [
        Segment("l/run", Stretch(end_frame=1), 10), Segment("l/a.mp4"),
    ]  # fmt: skip
