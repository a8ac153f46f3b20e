from __future__ import annotations

import pytest

from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError, UnknownName
from tests.datasets.conftest import Make

HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
ROW = (
    'YSKX3,FN7A,Kitchen,6,7,Yes,"A person, ""awake"", drinks.",cup;table,drinks,c092 11.90 21.20;c147 0.00 12.60,30.5\n'
)
EMPTY = "AB0CD,FN7A,Kitchen,6,7,Yes,Nothing.,,,,12\n"


def test_codes_and_times(make: Make, write: Make) -> None:
    folder = make("Charades_v1_480/YSKX3.mp4", "Charades_v1_480/AB0CD.mp4")
    data = read_data_set(write("Charades_v1_train.csv", HEADER + ROW + EMPTY))
    assert data.source == "Charades CSV"
    assert data.kind == "multi"
    assert len(data.classes) == 157
    assert data.classes[92] == "Watching/Looking outside of a window"
    video, other = data.videos
    assert video.path == folder / "Charades_v1_480" / "YSKX3.mp4"
    assert video.labels == (92, 147)
    assert video.label_times == ((11.9, 21.2), (0.0, 12.6))
    assert video.split == "train"
    assert other.labels == ()
    assert other.label_times == ()


def test_both_published_tables_in_a_folder(make: Make, write: Make) -> None:
    folder = make("YSKX3.mp4", "AB0CD.mp4")
    write("Charades_v1_train.csv", HEADER + ROW)
    write("Charades_v1_test.csv", HEADER + EMPTY)
    assert [(video.path.stem, video.split) for video in read_data_set(folder).videos] == [
        ("YSKX3", "train"),
        ("AB0CD", "test"),
    ]


def test_the_videos_may_lie_elsewhere_and_the_classes_of_a_model_count(make: Make, write: Make) -> None:
    root = make("videos/YSKX3.mp4") / "videos"
    table = write("lists/test.csv", HEADER + ROW)
    known = read_data_set(table, root=root).classes
    data = read_data_set(table, classes=known[::-1], root=root)
    assert data.videos[0].labels == (156 - 92, 156 - 147)


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        ("c092 11.90", DataSetError, "line 2: 'c092 11.90' is not a code"),
        (
            "c092 11.90 21.20;c200 1 2",
            UnknownName,
            r"line 2: .*'c200'.* 157 classes",
        ),
        ("c092 a b", DataSetError, "line 2: 'c092 a b' is not a code"),
        ("c092 1 nan", DataSetError, "line 2: .*'c092 1 nan' are not finite"),
    ],
)
def test_mistakes(make: Make, write: Make, actions: str, error: type[Exception], message: str) -> None:
    make("A.mp4", "B.mp4")
    table = write("t.csv", f"id,actions\nA,{actions}\nB,c001 0 1\n")
    with pytest.raises(error, match=rf"t\.csv, {message}"):
        read_data_set(table)


def test_missing_videos(make: Make, write: Make) -> None:
    with pytest.raises(DataSetError, match=r"t\.csv: 1 of 1 videos are missing \(line 2: YSKX3\).*data/"):
        read_data_set(write("t.csv", HEADER + ROW))
