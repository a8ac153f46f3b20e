from __future__ import annotations

import pytest

from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError
from nlvid_cli.video.segment import Stretch
from tests.clips import make_clip
from tests.datasets.conftest import Make

HEADER = "label,youtube_id,time_start,time_end,split\n"


def test_the_published_file_with_clips_that_are_cut(make: Make, write: Make) -> None:
    folder = make("abseiling/--3 a_000010_000020.mp4", "val/air_drumming/b-c_000000_000010.mkv", "-d_000007_000017.mp4")
    table = write(
        "val.csv",
        'label,youtube_id,time_start,time_end,split,is_cc\nabseiling,--3 a,10,20,val,0\n"air drumming",b-c,0,10,val,0\n'
        "abseiling,-d,7,17,val,0\n",
    )
    data = read_data_set(table)
    assert data.source == "Kinetics CSV"
    assert data.classes == ("abseiling", "air drumming")
    assert [(str(video.path.relative_to(folder)), video.labels, video.split) for video in data.videos] == [
        ("abseiling/--3 a_000010_000020.mp4", (0,), "val"),
        ("val/air_drumming/b-c_000000_000010.mkv", (1,), "val"),
        ("-d_000007_000017.mp4", (0,), "val"),
    ]
    assert {video.stretch for video in data.videos} == {None}


def test_whole_videos_have_stretches_and_cut_ones_do_not(make: Make, write: Make) -> None:
    folder = make()
    make_clip(folder / "a.mp4", frames=75)  # 3 s
    make_clip(folder / "b.mp4", frames=75)
    whole = write("t.csv", f"{HEADER}x,a,0,1,train\ny,a,1,2,train\ny,b,2,3,val\n")
    data = read_data_set(whole)
    assert [(video.path.name, video.stretch) for video in data.videos] == [
        ("a.mp4", Stretch(0.0, 1.0)),
        ("a.mp4", Stretch(1.0, 2.0)),
        ("b.mp4", Stretch(2.0, 3.0)),
    ]
    cut = read_data_set(write("t.csv", f"{HEADER}x,a,50,53,train\ny,b,7,10,val\n"))
    assert [video.stretch for video in cut.videos] == [None] * 2


def test_of_files_of_one_name_that_of_the_label_is_taken(make: Make, write: Make) -> None:
    folder = make("a_x/v_000001_000002.mp4", "walk/v_000001_000002.mp4", "run/w_000001_000002.mp4")
    data = read_data_set(write("t.csv", f"{HEADER}walk,v,1,2,train\nrun,w,1,2,train\n"))
    assert data.videos[0].path == folder / "walk" / "v_000001_000002.mp4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}x,a,0,1,train\ny,gone,1,2,train\n", r"t\.csv: 1 of 2 videos are missing \(line 3: gone\)"),
        (f"{HEADER}x,a,5,1,train\n", r"t\.csv, line 2: time_end \(1 s\)"),
        (f"{HEADER}x,a,zero,1,train\n", r"t\.csv, line 2: time_start must be a time such as .*, not 'zero'"),
        (f"{HEADER}x,a,0,nan,train\n", r"t\.csv, line 2: time_end must be a time such as .*, not 'nan'"),
        ("youtube_id,time_start,time_end,split\na,0,1,test\n", r"t\.csv, line 1: no column of labels"),
    ],
)
def test_mistakes(make: Make, write: Make, text: str, message: str) -> None:
    make("a_000000_000001.mp4")
    with pytest.raises(DataSetError, match=message):
        read_data_set(write("t.csv", text))


def test_what_cannot_be_downloaded_any_more_may_be_left_out(make: Make, write: Make) -> None:
    make("a_000000_000001.mp4", "b_000000_000001.mp4")
    table = write("t.csv", f"{HEADER}x,a,0,1,train\ny,gone,1,2,train\ny,b,0,1,train\n")
    assert len(read_data_set(table, skip_missing=True).videos) == 2
