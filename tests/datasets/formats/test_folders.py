from __future__ import annotations

import logging
import os

import pytest

from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError, UnknownName
from tests.datasets.conftest import Make


def test_a_folder_is_a_class_and_videos_may_lie_deeper(make: Make) -> None:
    folder = make("walk/b.mp4", "run/a.MP4", "run/daria/outdoors/a b.avi", "run/.hidden.mp4", ".git/x.mp4")
    data = read_data_set(folder)
    assert data.classes == ("run", "walk")
    assert data.kind == "single"
    assert data.source == "folder per class"
    assert [(video.path, video.labels, video.split) for video in data.videos] == [
        (folder / "run" / "a.MP4", (0,), None),
        (folder / "run" / "daria" / "outdoors" / "a b.avi", (0,), None),
        (folder / "walk" / "b.mp4", (1,), None),
    ]
    assert data.videos[1].where == str(folder / "run")


def test_folders_of_splits(make: Make) -> None:
    data = read_data_set(make("train/run/a.mp4", "train/walk/b.mp4", "validation/run/c.mp4", "Test/walk/d.mp4"))
    assert [(video.path.name, video.split) for video in data.videos] == [
        ("d.mp4", "test"),
        ("a.mp4", "train"),
        ("b.mp4", "train"),
        ("c.mp4", "val"),
    ]
    assert data.classes == ("run", "walk")
    assert data.source == "Test/ and train/ and validation/ of folders per class"


def test_a_class_may_be_called_like_a_split(make: Make) -> None:
    assert read_data_set(make("bus/a.mp4", "train/b.mp4")).classes == ("bus", "train")


def test_a_split_beside_a_class_is_an_error(make: Make) -> None:
    folder = make("train/run/a.mp4", "train/walk/b.mp4", "jump/c.mp4")
    with pytest.raises(DataSetError, match=r"is train/ a split or a class.*jump"):
        read_data_set(folder)


def test_numbered_classes_are_in_the_order_of_the_numbers(make: Make) -> None:
    assert read_data_set(make("10/a.mp4", "9/b.mp4", "0/c.mp4")).classes == ("0", "9", "10")


def test_known_classes_fix_the_numbers(make: Make) -> None:
    folder = make("air_drumming/a.mp4", "Zumba/b.mp4")
    data = read_data_set(folder, classes=["abseiling", "zumba", "air drumming"])
    assert data.classes == ("abseiling", "zumba", "air drumming")
    assert [video.labels for video in data.videos] == [(1,), (2,)]


def test_an_unknown_class_names_the_folder_and_what_was_meant(make: Make) -> None:
    folder = make("runing/a.mp4", "walking/b.mp4")
    with pytest.raises(
        UnknownName, match=r"data/runing: no class is called 'runing'; did you mean 'running'\?"
    ) as error:
        read_data_set(folder, classes=["running", "walking"])
    assert error.value.exit_status == 2


@pytest.mark.parametrize(
    ("extra", "advice"), [("", "remove it, or fill it"), ("jump/0001.jpg", "folders of frames are videos")]
)
def test_an_empty_class_folder(make: Make, extra: str, advice: str) -> None:
    folder = make("run/a.mp4", "walk/b.mp4", *([extra] if extra else []))
    (folder / "jump").mkdir(exist_ok=True)
    with pytest.raises(DataSetError, match=rf"data/jump: no video .*\({advice}"):
        read_data_set(folder)


def test_a_class_without_videos_for_validation_is_no_error_here(make: Make) -> None:
    folder = make("train/run/a.mp4", "train/walk/b.mp4", "val/run/c.mp4")
    (folder / "val" / "walk").mkdir()
    assert len(read_data_set(folder).videos) == 3


def test_what_is_no_video_is_counted(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folder = make("run/a.mp4", "walk/b.mp4", "walk/notes.txt", "readme.md", "loose.mp4")
    with caplog.at_level(logging.INFO, "nlvid_cli"):
        assert len(read_data_set(folder).videos) == 2
    assert f"{folder}: 2 files passed over: 1 .txt, 1 .md" in caplog.text
    assert f"{folder}: skipped 1 videos outside" in caplog.text


def test_loops_of_links_are_left_out_and_other_links_followed(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folder = make("run/a.mp4", "walk/b.mp4", "../store/jump/c.mp4")
    os.symlink(folder, folder / "run" / "again")
    os.symlink(folder / ".." / "store" / "jump", folder / "jump")
    data = read_data_set(folder)
    assert data.classes == ("jump", "run", "walk")
    assert len(data.videos) == 3
    assert "run/again: skipped" in caplog.text


def test_a_folder_that_is_no_data_set(make: Make) -> None:
    folder = make("notes.md")
    with pytest.raises(DataSetError, match="no video in this folder"):
        read_data_set(folder)
    make("frames/0001.jpg")
    with pytest.raises(DataSetError, match=r"no video in this folder.*1 \.jpg.*folders of frames"):
        read_data_set(folder)
    make("a.mp4")
    with pytest.raises(DataSetError, match="1 videos without labels"):
        read_data_set(folder)
    with pytest.raises(DataSetError, match="nowhere: no such file or folder"):
        read_data_set(folder / "nowhere")


def test_a_name_that_is_not_utf8(make: Make) -> None:
    folder = make("run/a.mp4", "caf\udce9/b.mp4")
    with pytest.raises(DataSetError, match=r"the label 'caf\\udce9' contains control characters"):
        read_data_set(folder)
