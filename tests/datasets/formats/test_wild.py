"""Tables and folders as people have them: each form is read right, or refused with what to do."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError, Unlabelled, UsageError
from nlvid_cli.video.segment import Stretch
from tests.clips import make_clip
from tests.datasets.conftest import Make

NAMES = ("v/a.mp4", "v/b.mp4", "v/c.mp4", "v/d.mp4")


def labels(data: DataSet) -> list[list[str]]:
    return [[data.classes[label] for label in video.labels] for video in data.videos]


def lines(*behind: str, header: str = "", separator: str = " ") -> str:
    rows = [f"{name}{separator}{text}" for name, text in zip(NAMES, behind, strict=False)]
    return "\n".join(([header] if header else []) + rows) + "\n"


@pytest.mark.parametrize("frames", [("241", "131", "242"), ("300", "300", "300"), ("3", "4", "30")])
@pytest.mark.parametrize("separator", [" ", ","])
def test_a_list_of_paths_frames_and_labels(make: Make, write: Make, frames: tuple[str, ...], separator: str) -> None:
    make(*NAMES)
    text = lines(*(f"{n}{separator}{label}" for n, label in zip(frames, "010", strict=True)), separator=separator)
    data = read_data_set(write("list.txt", text))
    assert (data.kind, data.classes, labels(data)) == ("single", ("0", "1"), [["0"], ["1"], ["0"]])
    assert any("frames" in note and f"path{separator}labels" in note for note in data.notes)


def test_a_list_of_names_without_suffix(make: Make, write: Make) -> None:
    make("v/run_1.mp4", "v/walk_2.mp4", "v/run_3.mp4")
    data = read_data_set(write("list.txt", "run_1 241 0\nv/walk_2 131 1\nrun_3 242 0\n"))
    assert labels(data) == [["0"], ["1"], ["0"]]
    data = read_data_set(write("list.txt", "run_1 0\nv/walk_2 1\nrun_3 0\n"))
    assert labels(data) == [["0"], ["1"], ["0"]]


def test_a_list_of_paths_and_several_numbers(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(write("list.txt", lines("0 3", "0 2 4", "3")))
    assert (data.kind, labels(data)) == ("multi", [["0", "3"], ["0", "2", "4"], ["3"]])
    data = read_data_set(write("list.txt", lines("0 3", "1 3", "0 1")))  # no video has 0 frames
    assert labels(data) == [["0", "3"], ["1", "3"], ["0", "1"]]


@pytest.mark.parametrize(
    ("behind", "readings"),
    [
        (("7 9", "9 7", "8 5"), r"frames 7, label 9; or the labels 7 and 9; write \"path frames label\" or"),
        (
            ("120 run", "131 walk", "99 run"),
            r"120 and the label 'run'; or the label '120 run'; write \"path frames label",
        ),
        (("1.5 3 0", "2 4.5 1", "0 2.5 0"), r"1\.5 3 and the label '0'; or .*; write \"path start end label"),
        (("1 20 3", "2 30 4", "5 9 3"), r"start frame 1, end frame 20, label 3; or the labels 1 and 20 and 3"),
    ],
)
def test_numbers_that_can_be_read_in_two_ways(make: Make, write: Make, behind: tuple[str, ...], readings: str) -> None:
    make(*NAMES)
    with pytest.raises(DataSetError, match=readings):
        read_data_set(write("list.txt", lines(*behind)))


def test_labels_that_begin_with_numbers(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(write("list.txt", lines("100 m run", "200 m run", "100 m run", "200 m run")))
    assert data.classes == ("100 m run", "200 m run")
    data = read_data_set(write("list.txt", lines("120 run", "131 run", header="path label")))
    assert data.classes == ("120 run", "131 run")


def test_a_list_of_labels_below_zero(make: Make, write: Make) -> None:
    make(*NAMES)
    with pytest.raises(Unlabelled, match="labels below 0"):
        read_data_set(write("list.txt", lines("30 -1", "31 -1")))


def test_a_header_says_how_to_read_a_list(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(write("list.txt", lines("7 9", "9 7", "8 9", header="path frames label")))
    assert (data.kind, labels(data)) == ("single", [["9"], ["7"], ["9"]])
    data = read_data_set(write("list.txt", lines("7 9", "9 7", "8 9", header="path labels")))
    assert (data.kind, labels(data)) == ("multi", [["7", "9"], ["9", "7"], ["8", "9"]])
    data = read_data_set(
        write("list.txt", lines("0 30 x", "5 9 ride a horse", header="path start_frame end_frame label"))
    )
    assert labels(data) == [["x"], ["ride a horse"]]
    assert data.videos[1].stretch == Stretch(start_frame=5, end_frame=9)


def test_comments(make: Make, write: Make) -> None:
    make(*NAMES, "#1.mp4")
    data = read_data_set(write("list.txt", "# path label\n" + lines("0", "1") + "# the end\n#1.mp4 1\n"))
    assert labels(data) == [["0"], ["1"], ["1"]]
    assert [video.where.rsplit(" ")[-1] for video in data.videos] == ["2", "3", "5"]
    data = read_data_set(write("list.csv", lines("x", "y", separator=",") + "# v/c.mp4,x\n"))
    assert len(data.videos) == 2
    assert any("comments" in note for note in data.notes)


def test_the_separator_of_a_spreadsheet(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(write("t.csv", "sep=;\r\npath;label\r\n" + lines("Kampf", "ruhig, leise", separator=";")))
    assert labels(data) == [["Kampf"], ["ruhig, leise"]]
    assert data.videos[0].where.endswith("line 3")


@pytest.mark.parametrize("header", ["Clip Name,Action Class", "clipName,actionClass", "Video File,What is seen"])
def test_a_header_with_blanks(make: Make, write: Make, header: str) -> None:
    make(*NAMES)
    data = read_data_set(write("t.csv", lines("fast run", "walk", header=header, separator=",")))
    assert labels(data) == [["fast run"], ["walk"]]


def test_labels_that_pandas_made_decimal(make: Make, write: Make) -> None:
    make(*NAMES)
    text = lines("0.0", "1.0", "10.0", header="file,label", separator=",")
    assert read_data_set(write("t.csv", text)).classes == ("0", "1", "10")
    write("classes.txt", "\n".join(f"class {n}" for n in range(11)))
    assert read_data_set(write("t.csv", text)).classes == ("class 0", "class 1", "class 10")


@pytest.mark.parametrize(
    "cells",
    [
        ("\"['bird']\"", "\"['frog, green', 'cat']\"", "[]"),
        ("['bird']", '"[""frog, green"", ""cat""]"', "[]"),
        ("['bird']", "\"['frog, green' 'cat']\"", "[]"),
    ],
)
def test_lists_in_cells(make: Make, write: Make, cells: tuple[str, ...]) -> None:
    make(*NAMES)
    data = read_data_set(write("t.csv", lines(*cells, header="path,label", separator=",")))
    assert (data.kind, labels(data)) == ("multi", [["bird"], ["frog, green", "cat"], []])


def test_commas_between_labels(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(write("t.csv", lines("bird", '"frog, cat"', header="path,labels", separator=",")))
    assert (data.kind, labels(data)) == ("multi", [["bird"], ["frog", "cat"]])
    assert any("call the column label" in note for note in data.notes)
    data = read_data_set(write("t.csv", lines("bird", '"frog, cat"', header="path,label", separator=",")))
    assert (data.kind, labels(data)) == ("single", [["bird"], ["frog, cat"]])


def test_a_column_for_each_class(make: Make, write: Make) -> None:
    make(*NAMES)
    text = lines("1, 0,7", "0, 1,8", "1, 0,9", header="filename, Fight, calm walk,duration", separator=", ")
    data = read_data_set(write("t.csv", text))
    assert (data.kind, labels(data)) == ("single", [["Fight"], ["calm walk"], ["Fight"]])
    data = read_data_set(write("t.csv", text.replace("0, 1,8", "1, 1,8").replace("1, 0,9", "0, 0,9")))
    assert (data.kind, labels(data)) == ("multi", [["Fight"], ["Fight", "calm walk"], []])


def test_a_column_that_is_no_label(make: Make, write: Make) -> None:
    make(*NAMES)
    with pytest.raises(Unlabelled, match=r"which column holds the labels \(path, duration\)"):
        read_data_set(write("t.csv", lines("10", "11", header="path,duration", separator=",")))


def test_columns_of_starts_and_ends(make: Make, write: Make) -> None:
    folder = make()
    make_clip(folder / "a.mp4", frames=100)  # 4 s
    make_clip(folder / "b.mp4", frames=100)
    text = "video,start,end,label\na.mp4,0,0:01.5,x\na.mp4,1.5,3,y\nb.mp4,,2,x\nb.mp4,2,,y\n"
    data = read_data_set(write("t.csv", text))
    assert [video.stretch for video in data.videos] == [
        Stretch(0.0, 1.5),
        Stretch(1.5, 3.0),
        Stretch(None, 2.0),
        Stretch(2.0, None),
    ]
    cut = read_data_set(write("t.csv", "video,start,end,label\na.mp4,50,54,x\nb.mp4,7,11,y\n"))
    assert [video.stretch for video in cut.videos] == [None, None]
    assert any("already cut" in note for note in cut.notes)
    with pytest.raises(DataSetError, match=r"line 2: end \(1 s\) is not after start \(5 s\)"):
        read_data_set(write("t.csv", "video,start,end,label\na.mp4,5,1,x\nb.mp4,1,2,y\n"))


def test_columns_of_starts_and_ends_that_hold_no_times(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(
        write("t.csv", lines("Anna,Bert,x", "Bert,Anna,y", header="path,from,to,label", separator=","))
    )
    assert [video.stretch for video in data.videos] == [None, None]
    assert any("hold no times" in note for note in data.notes)


def test_kinetics_tables_in_a_folder_keep_their_stretches(make: Make, write: Make) -> None:
    folder = make()
    header = "label,youtube_id,time_start,time_end,split\n"
    for name in ("a", "b", "c", "d"):
        make_clip(folder / f"{name}.mp4", frames=100)
    write("train.csv", f"{header}run,a,1,2,train\nwalk,b,1,3,train\n")
    write("val.csv", f"{header}run,c,1,2,validate\nwalk,d,1,3,validate\n")
    write("test.csv", "youtube_id,time_start,time_end,split\na,1,2,test\n")
    data = read_data_set(folder)
    assert [(video.stretch, video.split) for video in data.videos] == [
        (Stretch(1.0, 2.0), "train"),
        (Stretch(1.0, 3.0), "train"),
        (Stretch(1.0, 2.0), "val"),
        (Stretch(1.0, 3.0), "val"),
    ]
    assert any("test.csv" in note and "passed over" in note for note in data.notes)


def test_a_row_and_its_file_of_different_splits(make: Make, write: Make) -> None:
    folder = make(*NAMES)
    write("train.csv", "path,label,split\nv/a.mp4,x,train\nv/b.mp4,y,val\n")
    assert [video.split for video in read_data_set(folder).videos] == ["train", "val"]  # the only table
    write("val.csv", "path,label\nv/c.mp4,x\nv/d.mp4,y\n")
    with pytest.raises(DataSetError, match=r"train\.csv, line 3: .*for val, .*name of the file .*for train"):
        read_data_set(folder)


def test_loose_clips_of_splits_with_a_table_each(make: Make, write: Make) -> None:
    folder = make("train/a.mp4", "train/b.mp4", "valid/a.mp4", "test/c.mp4", "test/d.mp4")
    with pytest.raises(DataSetError, match=r"test, train, valid are splits, and their videos have no labels"):
        read_data_set(folder)
    write("train/_classes.csv", "filename, walk, run\na.mp4, 1, 0\nb.mp4, 0, 1\n")
    with pytest.raises(DataSetError, match=r"train/ has a table .*test, valid has none"):
        read_data_set(folder)
    write("valid/_classes.csv", "filename, walk, run\na.mp4, 0, 1\n")
    write("test/_classes.csv", "filename, walk, run\nc.mp4, 1, 0\n")
    data = read_data_set(folder)
    assert data.classes == ("run", "walk")
    found = [(str(video.path.relative_to(folder)), video.split) for video in data.videos]
    assert found == [("test/c.mp4", "test"), ("train/a.mp4", "train"), ("train/b.mp4", "train"), ("valid/a.mp4", "val")]
    assert data.passed_over == 1


def test_names_of_splits_are_no_classes_without_a_word(make: Make) -> None:
    assert any("train is taken as a class" in note for note in read_data_set(make("bus/a.mp4", "train/b.mp4")).notes)
    with pytest.raises(DataSetError, match=r"test, train are splits.*bus"):
        read_data_set(make("test/c.mp4"))


def test_a_table_beside_folders_of_cameras(make: Make, write: Make) -> None:
    folder = make("cam1/a.mp4", "cam1/b.mp4", "cam2/c.mp4")
    write("labels.csv", "filepath,label\ncam1/a.mp4,bird\nb.mp4,frog\ncam2/c.mp4,bird\n")
    data = read_data_set(folder)
    assert labels(data) == [["bird"], ["frog"], ["bird"]]
    assert any("move labels.csv elsewhere" in note for note in data.notes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,label\nx.mp4,run\ny.mp4,walk\n", "none of the videos"),
        ("video,label,score\nrun/a.mp4,walk,0.9\nwalk/b.mp4,run,0.8\n", "predictions"),
        ("video,minutes\nrun/a.mp4,3\nwalk/b.mp4,4\n", "no column called label"),
    ],
)
def test_another_table_beside_folders_of_classes(make: Make, write: Make, text: str, reason: str) -> None:
    folder = make("run/a.mp4", "walk/b.mp4")
    write("extra.csv", text)
    data = read_data_set(folder)
    assert data.classes == ("run", "walk")
    assert any("extra.csv" in note and reason in note for note in data.notes)


def test_a_table_of_names_that_several_folders_have(make: Make, write: Make) -> None:
    folder = make("cam1/a.mp4", "cam2/a.mp4")
    write("labels.csv", "path,label\na.mp4,bird\nb.mp4,frog\n")
    with pytest.raises(DataSetError, match=r"a\.mp4 is .*cam1/a\.mp4 or .*cam2/a\.mp4"):
        read_data_set(folder)


def test_a_log_of_training_is_no_list(make: Make, write: Make) -> None:
    folder = make("run/a.mp4", "walk/b.mp4")
    write("train_log.txt", "epoch 1 loss 2\nepoch 2 loss 1\n")
    assert read_data_set(folder).classes == ("run", "walk")


def test_a_table_in_a_folder_of_annotations(make: Make, write: Make) -> None:
    folder = make("videos/a.mp4", "videos/b.mp4")
    write("annotations/labels.csv", "path,label\na.mp4,x\nb.mp4,y\n")
    assert labels(read_data_set(folder)) == [["x"], ["y"]]


def test_two_tables_that_both_fit(make: Make, write: Make) -> None:
    folder = make("cam1/a.mp4", "cam2/b.mp4")
    for name in ("x.csv", "y.csv"):
        write(name, "path,label\na.mp4,bird\nb.mp4,frog\n")
    with pytest.raises(DataSetError, match=r"x\.csv and y\.csv all name videos and labels"):
        read_data_set(folder)


def test_names_with_a_suffix_in_folders_below(make: Make, write: Make) -> None:
    folder = make("cam1/a.mp4", "cam2/day/b.mp4", "cam2/c.mp4", "cam1/c.mp4", "frog/d.mp4", "bird/d.mp4")
    data = read_data_set(write("t.csv", "a.mp4,bird\nb.mp4,frog\nd.mp4,frog\n"))
    assert [str(video.path.relative_to(folder)) for video in data.videos] == [
        "cam1/a.mp4",
        "cam2/day/b.mp4",
        "frog/d.mp4",
    ]
    with pytest.raises(DataSetError, match=r"c\.mp4 is .*cam1/c\.mp4 or .*cam2/c\.mp4"):
        read_data_set(write("t.csv", "a.mp4,bird\nc.mp4,frog\n"))


def test_accents_in_two_codings(make: Make, write: Make) -> None:
    make(unicodedata.normalize("NFD", "café/één.mp4"), "b.mp4")
    for name in ("café/één.mp4", "één.mp4", "één"):
        data = read_data_set(write("t.csv", unicodedata.normalize("NFC", f"path,label\n{name},x\nb.mp4,y\n")))
        assert len(data.videos) == 2


@pytest.mark.parametrize(("one", "other"), [("Fight", "fight"), ("ride a bike", "ride_a_bike"), ("é", "e\u0301")])
def test_labels_that_are_spelt_nearly_alike(make: Make, write: Make, one: str, other: str) -> None:
    make(*NAMES)
    with pytest.raises(DataSetError, match="are one class or two"):
        read_data_set(write("t.csv", lines(one, other, "x", separator=",")))


def test_folders_that_are_spelt_nearly_alike(make: Make) -> None:
    with pytest.raises(DataSetError, match=r"'Fight' \(1 video, .*Fight\) and 'fight' \(2 videos"):
        read_data_set(make("Fight/a.mp4", "fight/b.mp4", "fight/c.mp4"))


def test_something_something(make: Make, write: Make) -> None:
    folder = make("20bn-something/1.webm", "20bn-something/2.webm", "20bn-something/3.webm")
    entry = {"label": "holding a potato", "template": "Holding [something]", "placeholders": ["a potato"]}
    write("labels.json", json.dumps({"Holding something": "0", "Moving something": "1"}))
    write("train.json", json.dumps([{"id": "1"} | entry, {"id": "2"} | entry | {"template": "Moving [something]"}]))
    write("validation.json", json.dumps([{"id": "3"} | entry], indent=2))
    write("test.json", json.dumps([{"id": "4"}]))
    data = read_data_set(folder)
    assert labels(data) == [["Holding something"], ["Moving something"], ["Holding something"]]
    assert [video.split for video in data.videos] == ["train", "train", "val"]
    assert data.videos[0].where.endswith("train.json, entry 1")


def test_diving48(make: Make, write: Make) -> None:
    folder = make("rgb/x_0.mp4", "rgb/x_1.mp4", "rgb/x_2.mp4")
    entry = {"start_frame": 0, "end_frame": 161}
    write("Diving48_vocab.json", json.dumps([["Back", "15som"], ["Back", "25som"]]))
    write("Diving48_V2_train.json", json.dumps([{"vid_name": f"x_{n}", "label": n} | entry for n in (0, 1)]))
    write("Diving48_V2_test.json", json.dumps([{"vid_name": "x_2", "label": 1} | entry]))
    data = read_data_set(folder)
    assert labels(data) == [["Back 15som"], ["Back 25som"], ["Back 25som"]]
    assert [(video.split, video.stretch) for video in data.videos] == [("train", None), ("train", None), ("test", None)]


@pytest.mark.parametrize("minimal", [False, True])
def test_label_studio(make: Make, write: Make, minimal: bool) -> None:
    make("1a2b3c4d-a.mp4", "b.mp4")
    tasks = [("/data/upload/1/1a2b3c4d-a.mp4", "run"), ("/data/local-files/?d=b.mp4", "walk")]
    full = [
        {"id": 1, "data": {"video": video}, "annotations": [{"result": [{"value": {"choices": [label]}}]}]}
        for video, label in tasks
    ]
    short = [{"id": 1, "video": video, "choice": label, "annotator": 1} for video, label in tasks]
    data = read_data_set(write("project.json", json.dumps(short if minimal else full)))
    assert (data.kind, labels(data)) == ("single", [["run"], ["walk"]])


def test_stretches_of_label_studio(make: Make, write: Make) -> None:
    make("a.mp4")
    value = {"ranges": [{"start": 1, "end": 50}], "timelinelabels": ["run"]}
    other = {"ranges": [{"start": 51, "end": 90}], "timelinelabels": ["walk"]}
    task = {"data": {"video": "a.mp4"}, "annotations": [{"result": [{"value": value}, {"value": other}]}]}
    data = read_data_set(write("project.json", json.dumps([task])))
    assert labels(data) == [["run"], ["walk"]]
    assert data.videos[1].stretch == Stretch(start_frame=50, end_frame=90)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"run": "0", "walk": "1"}, "names classes by number"),
        ({"videos": [{"id": 1}], "annotations": [{"id": 1}], "x": 1}, "one JSON document with videos, annotations, x"),
        ([1, 2], "entry 1: not an object"),
        ([], "no videos"),
        ([{"data": {"video": "a.mp4"}, "annotations": []}], "no finished annotation"),
        ([{"data": {"video": "a.mp4"}, "annotations": 5}], "no form that nlvid knows"),
    ],
)
def test_json_documents_that_are_no_labelled_videos(write: Make, document: object, message: str) -> None:
    with pytest.raises(DataSetError, match=message):
        read_data_set(write("t.json", json.dumps(document)))


def test_an_object_by_path_and_activity_net(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(write("t.json", json.dumps({"v/a.mp4": "run", "v/b.mp4": "walk"}, indent=1)))
    assert labels(data) == [["run"], ["walk"]]
    video = {
        "subset": "training",
        "annotations": [{"segment": [1, 2], "label": "run"}, {"segment": [3, 4], "label": "x"}],
    }
    data = read_data_set(write("t.json", json.dumps({"version": "1.3", "database": {"a": video}})))
    assert (labels(data), data.videos[1].stretch) == ([["run"], ["x"]], Stretch(3.0, 4.0))


def test_jester(make: Make, write: Make) -> None:
    folder = make("clips/1.webm", "clips/2.webm", "clips/3.webm", "clips/4.webm")
    write("jester-v1-labels.csv", "Drumming Fingers\nThumb Up\n")
    write("jester-v1-train.csv", "1;Drumming Fingers\n2;Thumb Up\n3;Thumb Up\n")
    write("jester-v1-validation.csv", "4;Thumb Up\n")
    data = read_data_set(folder)
    assert [video.split for video in data.videos] == ["train", "train", "train", "val"]
    assert labels(read_data_set(folder / "jester-v1-train.csv")) == [["Drumming Fingers"], ["Thumb Up"], ["Thumb Up"]]


def test_epic_kitchens(make: Make, write: Make) -> None:
    make("P01_01.mp4")
    header = "narration_id,video_id,start_timestamp,stop_timestamp,start_frame,stop_frame,narration,verb,noun"
    row = "P01_01_0,P01_01,00:00:01.089,00:00:02.629,8,202,open door,open,door"
    with pytest.raises(DataSetError, match=r"EPIC-KITCHENS; call the column .* label \(verb or noun\)"):
        read_data_set(write("EPIC_100_train.csv", f"{header}\n{row}\n"))
    data = read_data_set(write("t.csv", f"{header.replace('verb', 'label')}\n{row}\n"))
    assert (labels(data), data.videos[0].stretch) == ([["open"]], Stretch(1.089, 2.629))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hmdb51_label_map.txt", "run\nwalk\n"),
        ("kinetics_400_labels.csv", "id,name\n0,run\n1,walk\n"),
        ("ucf101_classInd.txt", "0 run\n1 walk\n"),
        ("my-categories.txt", "run 0\nwalk 1\n"),
        ("obj.names", "run\nwalk\n"),
        ("id2label.json", '{"0": "run", "1": "walk"}'),
        ("label2id.json", '{"run": 0, "walk": 1}'),
        ("labels.json", '{"run": "0", "walk": "1"}'),
        ("class_list.csv", "number,mid,display_name\n0,/m/0,run\n1,/m/1,walk\n"),
    ],
)
def test_class_files_under_other_names(make: Make, write: Make, name: str, text: str) -> None:
    make(*NAMES)
    write(name, text)
    write("other_labels.csv", "path,label\nv/a.mp4,0\n")  # a table is no class file
    assert labels(read_data_set(write("list.txt", lines("1", "0")))) == [["walk"], ["run"]]


def test_class_files_that_contradict_each_other(make: Make, write: Make) -> None:
    make(*NAMES)
    write("a_labels.txt", "run\nwalk\n")
    write("b_labels.txt", "walk\nrun\n")
    with pytest.raises(DataSetError, match=r"a_labels\.txt names .*b_labels\.txt .*rename the right one"):
        read_data_set(write("list.txt", lines("1", "0")))


def _ucf(make: Make, write: Make) -> Path:
    folder = make(
        "Run/v_Run_g01_c01.avi", "Run/v_Run_g02_c01.avi", "Walk/v_Walk_g01_c01.avi", "Walk/v_Walk_g02_c01.avi"
    )
    for number in ("01", "02"):
        write(f"trainlist{number}.txt", "Run/v_Run_g01_c01.avi 1\nWalk/v_Walk_g01_c01.avi 2\n")
        write(f"testlist{number}.txt", "Run/v_Run_g02_c01.avi\nWalk/v_Walk_g02_c01.avi\n")
    return folder


@pytest.mark.parametrize("class_file", ["", "1 Run\n2 Walk\n"])
def test_the_lists_of_ucf101_beside_its_folders(make: Make, write: Make, class_file: str) -> None:
    folder = _ucf(make, write)
    if class_file:
        write("classInd.txt", class_file)
    data = read_data_set(folder)
    assert labels(data) == [["Run"], ["Walk"], ["Run"], ["Walk"]]
    assert [video.split for video in data.videos] == ["train", "train", "test", "test"]
    assert any("trainlist01.txt is taken, and trainlist02.txt is not" in note for note in data.notes)


def test_the_test_list_of_ucf101(make: Make, write: Make) -> None:
    folder = _ucf(make, write)
    data = read_data_set(folder / "testlist01.txt")
    assert labels(data) == [["Run"], ["Walk"]]
    assert any("folder of each path is taken as its class" in note for note in data.notes)
    write("testlist01.txt", "Run/v_Run_g02_c01.avi\n")  # of one class alone
    assert labels(read_data_set(folder / "testlist01.txt")) == [["Run"]]
    write("testlist01.txt", "path\nRun/v_Run_g02_c01.avi\nWalk/v_Walk_g02_c01.avi\n")
    assert labels(read_data_set(folder / "testlist01.txt")) == [["Run"], ["Walk"]]
    write("testlist01.txt", "videos/v_Run_g02_c01.avi\n")
    with pytest.raises(Unlabelled, match="paths and no labels"):
        read_data_set(folder / "testlist01.txt")


def test_the_lists_of_hmdb51(make: Make, write: Make) -> None:
    folder = make("hold on/a.avi", "hold on/b.avi", "hold on/x.avi", "run/c.avi", "run/d.avi")
    for number in (1, 2):
        write(f"splits/hold on_test_split{number}.txt", f"a.avi {number} \nb.avi {3 - number} \nx.avi 0 \n")
        write(f"splits/run_test_split{number}.txt", "c.avi 1 \nd.avi 2 \n")
    data = read_data_set(folder)
    assert labels(data) == [["hold on"], ["hold on"], ["run"], ["run"]]
    assert [video.split for video in data.videos] == ["train", "test", "train", "test"]
    assert data.passed_over == 1
    assert any("split 1 of 1, 2" in note for note in data.notes)
    assert len(read_data_set(folder / "splits").videos) == 4
    data = read_data_set(folder / "splits" / "run_test_split2.txt")
    assert [video.split for video in data.videos] == ["test", "train", "train", "test"]


def test_a_table_of_training_beside_folders_of_splits(make: Make, write: Make) -> None:
    folder = make("train/1.mp4", "train/2.mp4", "test/1.mp4", "test/2.mp4")
    write("train_labels.csv", "id,label\n1,run\n2,walk\n")
    data = read_data_set(folder)
    assert [(video.path.parent.name, video.split) for video in data.videos] == [("train", "train")] * 2
    assert data.passed_over == 2


def test_other_json_objects(make: Make, write: Make) -> None:
    make(*NAMES)
    data = read_data_set(write("t.json", json.dumps({"run": list(NAMES[:2]), "walk": list(NAMES[2:])})))
    assert labels(data) == [["run"], ["run"], ["walk"], ["walk"]]
    rows = [{"path": name, "label": label} for name, label in zip(NAMES, "xyxy", strict=True)]
    data = read_data_set(write("t.json", json.dumps({"train": rows[:2], "validation": rows[2:]})))
    assert [video.split for video in data.videos] == ["train", "train", "val", "val"]


def test_the_csv_of_label_studio(make: Make, write: Make) -> None:
    make("1a2b3c4d-a.mp4", "b.mp4")
    header = "video,id,choice,annotator,annotation_id,created_at,updated_at,lead_time"
    end = "1,1,2024-01-01T00:00:00Z,2024-01-01T00:00:00Z,1.5"
    text = f"{header}\n/data/upload/1/1a2b3c4d-a.mp4,1,run,{end}\n/data/local-files/?d=b.mp4,2,walk,{end}\n"
    assert labels(read_data_set(write("t.csv", text))) == [["run"], ["walk"]]
    several = text.replace("1,run,1", '1,"{""choices"":[""run"",""jump""]}",1')
    assert labels(read_data_set(write("t.csv", several))) == [["run", "jump"], ["walk"]]


CELLS = (
    "v/a.mp4",
    "v/b.mp4",
    "a",
    "run",
    "path",
    "label",
    "labels",
    "start",
    "end",
    "0",
    "1",
    "1.0",
    "['x']",
    "train",
    "#",
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    rows=st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4), min_size=1, max_size=5),
    separator=st.sampled_from((",", ";", " ", "\t")),
)
def test_any_table_is_read_or_refused(make: Make, write: Make, rows: list[list[str]], separator: str) -> None:
    make(*NAMES)
    table = write("t.csv", "\n".join(separator.join(cells) for cells in rows))
    try:
        data = read_data_set(table)
    except UsageError:
        return
    assert all(video.path.is_file() for video in data.videos)


VALUES = st.recursive(
    st.sampled_from((None, 0, 1.5, "v/a.mp4", "v/b.mp4", "run", [], {})),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("path", "label", "data", "annotations", "result", "value", "choices", "database", "segment")
            ),
            inside,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(document=VALUES)
def test_any_json_is_read_or_refused(make: Make, write: Make, document: object) -> None:
    make(*NAMES)
    try:
        data = read_data_set(write("t.json", json.dumps(document)))
    except UsageError:
        return
    assert all(video.path.is_file() for video in data.videos)


@pytest.mark.parametrize(
    ("name", "classes", "multi", "stretches"),
    [
        ("csvheader/actionclass.csv", "a b", False, 0),
        ("csvheader/commalabels.csv", "amphibian bird mammal", True, 0),
        ("csvheader/pylist.csv", "amphibian bird mammal", True, 0),
        ("lists/comment.txt", "0 1", False, 0),
        ("lists/floatlabel.csv", "0 1", False, 0),
        ("lists/mmmulti.txt", "0 2 3 4", True, 0),
        ("lists/sep.csv", "Kampf ruhig", False, 0),
        ("lists/tsn.txt", "0 1", False, 0),
        ("lists/tsn300.txt", "0 1", False, 0),
        ("onehot/onehot.csv", "calm fight", False, 0),
        ("segments/seg.csv", "a b", False, 6),
        ("segments/clips_same_file.csv", "a b", False, 4),
        ("kinetics_folder", "run walk", False, 4),
        ("ssv2", "Holding something,Moving something,Pushing something", False, 0),
    ],
)
def test_tables_that_people_published(
    shared: Path, data: Path, name: str, classes: str, multi: bool, stretches: int
) -> None:
    source = shared / "datasets" / "wild" / name.split("/")[0]
    if not source.is_dir():
        pytest.skip(f"no published tables at {source}")
    clip = data / "clip.mp4"
    make_clip(clip, frames=200)  # 8 s
    shutil.copytree(source, data / source.name)
    for table in (data / source.name).iterdir():
        text = table.read_text()
        for video in [*re.findall(r"[\w/]+\.mp4", text), *(f"{one}.mp4" for one in re.findall(r"\w{11,}1(?=,)", text))]:
            (table.parent / video).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, table.parent / video)
    found = read_data_set(data / name)
    assert found.classes == tuple(classes.split("," if "," in classes else None))
    assert (found.kind == "multi") == multi
    assert sum(video.stretch is not None for video in found.videos) == stretches
