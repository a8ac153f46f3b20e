"""Lists and tables that name folders of frames: TSN, MMAction2 (rawframes), GluonCV."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError
from nlvid_cli.video.segment import Stretch

COUNTS = (60, 81, 75, 300)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four folders of two pictures each, named run/g01 and so on."""
    for number, _ in enumerate(COUNTS):
        folder = tmp_path / ("run", "walk")[number % 2] / f"g{number:02d}"
        folder.mkdir(parents=True)
        for picture in (1, 2):
            (folder / f"img_{picture:05d}.jpg").write_bytes(b"x")
    return tmp_path


def _rows(separator: str) -> str:
    names = ((f"{('run', 'walk')[number % 2]}/g{number:02d}", count) for number, count in enumerate(COUNTS))
    return "".join(f"{name}{separator}{count}{separator}{n % 2}\n" for n, (name, count) in enumerate(names))


@pytest.mark.parametrize(
    ("name", "header", "separator"),
    [
        ("train.txt", "", " "),
        ("train.csv", "path,frames,label\n", ","),
        ("train.csv", "video;total_frames;label\n", ";"),
        ("train.txt", "path frames label\n", " "),
    ],
)
def test_path_frames_label(root: Path, name: str, header: str, separator: str) -> None:
    (root / name).write_text(header + _rows(separator))
    data = read_data_set(root / name)
    assert data.kind == "single"
    assert data.classes == ("0", "1")
    assert [video.path for video in data.videos] == [
        root / "run/g00", root / "walk/g01", root / "run/g02", root / "walk/g03",
    ]  # fmt: skip
    assert [video.stretch for video in data.videos] == [Stretch(end_frame=count) for count in COUNTS]
    assert [video.labels for video in data.videos] == [(0,), (1,), (0,), (1,)]


def test_the_folders_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text(_rows(" "))
    with pytest.raises(DataSetError, match="4 of 4 videos are missing"):
        read_data_set(tmp_path / "lists" / "train.txt", root=tmp_path / "lists")
    data = read_data_set(tmp_path / "lists" / "train.txt", root=root)
    assert data.videos[0].path == root / "run/g00"


def test_folders_without_a_count_are_whole(root: Path) -> None:
    (root / "t.csv").write_text("path,label\nrun/g00,a\nwalk/g01,b\n")
    assert [video.stretch for video in read_data_set(root / "t.csv").videos] == [None, None]


def test_frames_of_a_folder_as_a_stretch(root: Path) -> None:
    (root / "t.csv").write_text("path,start_frame,end_frame,label\nrun/g00,0,1,a\nrun/g00,1,2,b\n")
    assert [video.stretch for video in read_data_set(root / "t.csv").videos] == [
        Stretch(start_frame=0, end_frame=1),
        Stretch(start_frame=1, end_frame=2),
    ]


def test_the_count_of_a_video_file_changes_nothing(root: Path) -> None:
    (root / "a.mp4").write_bytes(b"x")
    (root / "t.csv").write_text("path,frames,label\na.mp4,10,a\nrun/g00,2,b\n")
    assert [video.stretch for video in read_data_set(root / "t.csv").videos] == [None, Stretch(end_frame=2)]


def test_a_count_that_is_none_names_its_line(root: Path) -> None:
    (root / "t.csv").write_text("path,frames,label\nrun/g00,2,a\nwalk/g01,many,b\n")
    with pytest.raises(DataSetError, match=r"t\.csv, line 3: 'many'"):
        read_data_set(root / "t.csv")
