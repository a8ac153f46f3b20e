from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import DataSetError, UnknownName
from tests.datasets.conftest import Make


def _rows(data: DataSet) -> list[tuple[str, list[str]]]:
    return [(video.path.name, [data.classes[label] for label in video.labels]) for video in data.videos]


@pytest.mark.parametrize(
    ("name", "text", "source"),
    [
        ("a.csv", "path,label\nrun 1.mp4,run\nwalk.mp4,walk\n", "comma-separated table, with a header"),
        ("a.csv", "run 1.mp4;run\nwalk.mp4;walk\n", "semicolon-separated table, with no header"),
        ("a.tsv", "label\tfile_name\nrun\trun 1.mp4\nwalk\twalk.mp4\n", "tab-separated table, with a header"),
        ("a.txt", "run 1.mp4 run\nwalk.mp4 walk\n", "space-separated list (PySlowFast)"),
        ("a.csv", "n,clip_name,action\n1,run 1,run\n2,walk,walk\n", "comma-separated table, with a header"),
        ("a.jsonl", '{"video": "run 1.mp4", "label": "run"}\n{"video": "walk.mp4", "label": "walk"}\n', "JSONL"),
        ("a.csv", "video_file,what\nrun 1.mp4,run\nwalk.mp4,walk\n", "comma-separated table, with a header"),
        ("a.csv", "what,label\nrun 1.mp4,run\nwalk.mp4,walk\n", "comma-separated table, with a header"),
        ("a.csv", "path,label,label_name\nrun 1.mp4,1,run\nwalk.mp4,0,walk\n", "comma-separated table, with a header"),
    ],
)
def test_a_path_and_a_label(make: Make, write: Make, name: str, text: str, source: str) -> None:
    make("run 1.mp4", "walk.mp4")
    data = read_data_set(write(name, text))
    assert _rows(data) == [("run 1.mp4", ["run"]), ("walk.mp4", ["walk"])]
    assert data.classes == ("run", "walk")
    assert data.source == source
    line = 1 if "no header" in source or "list" in source or source == "JSONL" else 2
    assert data.videos[0].where.endswith(f"{name}, line {line}")
    assert data.videos[0].path.is_file()


def test_paths_are_relative_to_the_table_then_to_the_working_directory(make: Make, write: Make) -> None:
    make("a.mp4", "../elsewhere/b.mp4", "c/d.mp4", "e.mp4")
    absolute = str(make() / "e.mp4")
    table = write("t.csv", f"a.mp4,x\nb.mp4,y\nc\\d.mp4,x\n{absolute},y\n")
    paths = [video.path for video in read_data_set(table).videos]
    assert paths == [make() / "a.mp4", Path("b.mp4"), make() / "c/d.mp4", Path(absolute)]


def test_paths_relative_to_another_root(make: Make, write: Make) -> None:
    root = make("clips/a.mp4", "clips/b.mp4") / "clips"
    table = write("t.csv", "path,label\na.mp4,x\n/b.mp4,y\n")
    assert [video.path for video in read_data_set(table, root=root).videos] == [root / "a.mp4", root / "b.mp4"]
    with pytest.raises(DataSetError, match="nowhere: --root"):
        read_data_set(table, root=root / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,label\none/two/a.mp4,x\ngone.mp4,y\n",
            r"t\.csv: 2 of 2 videos are missing \(line 2: one/two/a\.mp4; line 3: gone\.mp4\); "
            r"searched .*data/ and \./; .*videos/ has 1 of them; try --root",
        ),
        ("a.mp4,x\nb.mp4,y\n", r"searched .*; did you mean .*a\.avi"),
        ("https://example.org/a.mp4,x\nb.mp4,y\n", "download them first"),
        (
            "data/one/two/three/c.mp4,x\ndata/one/two/three/d.avi,y\n",
            r"\.\./? has all of them|/\.\./ has all|/ has all of them; try --root",
        ),
        ("\n".join(f"{n}.mp4,x" for n in range(9)), r"9 of 9 .*line 5: 4\.mp4 and 4 more\)"),
        ("a\0.mp4,x\nb.mp4,y\n", "not a text file"),
    ],
)
def test_missing_files_are_listed_together(make: Make, write: Make, text: str, message: str) -> None:
    make("videos/one/two/a.mp4", "a.avi", "one/two/three/c.mp4", "one/two/three/d.avi")
    with pytest.raises(DataSetError, match=message) as error:
        read_data_set(write("t.csv", text))
    assert error.value.exit_status == 2


def test_another_spelling_of_a_path_is_the_same_video(make: Make, write: Make) -> None:
    folder = make("a.mp4", "b.mp4", "c/d.mp4")
    (folder / "e.mp4").symlink_to(folder / "a.mp4")
    for other in ("./a.mp4", "c/../a.mp4", folder / "a.mp4", "e.mp4"):
        table = write("t.csv", f"path,label,split\na.mp4,x,train\nb.mp4,y,train\n{other},x,val\n")
        with pytest.raises(DataSetError, match=r"twice: a\.mp4, as .*[ae]\.mp4, in .*both train and val"):
            read_data_set(table)


def test_missing_files_may_be_left_out(make: Make, write: Make, caplog: pytest.LogCaptureFixture) -> None:
    make("a.mp4", "b.mp4")
    data = read_data_set(write("t.csv", "a.mp4,x\nb.mp4,y\nc.mp4,y\n"), skip_missing=True)
    assert _rows(data) == [("a.mp4", ["x"]), ("b.mp4", ["y"])]
    assert "t.csv: 1 of 3 videos are missing (line 3: c.mp4); skipped" in caplog.text
    with pytest.raises(DataSetError, match="2 of 2 videos are missing"):
        read_data_set(write("t.csv", "d.mp4,x\nc.mp4,y\n"), skip_missing=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,x\nb.mp4,\n", r"t\.csv, line 3: the label is empty"),
        ("path,label\na.mp4,x\n,y\n", r"t\.csv, line 3: the path is empty"),
        ("path,label\na.mp4,x\nb.mp4,y\x07\n", r"line 3: the label 'y\\x07' contains control characters"),
        (
            "path,label\na.mp4,x\nb.mp4,y\na.mp4,x\n",
            r"twice: a\.mp4 in .*t\.csv, line 2 and .*t\.csv, line 4: remove the",
        ),
        ("path,label\na.mp4,x\nb.mp4,y\na.mp4,y\n", "with the labels 'x' and 'y'; keep one, or write several labels"),
        (
            "path,label,split\na.mp4,x,train\nb.mp4,y,train\na.mp4,x,val\n",
            "line 2 and .*line 4: so that it is in both train and val",
        ),
        ("path,label,split\na.mp4,x,train\nb.mp4,y,tain\n", "line 3: unknown split 'tain'"),
        ("a.mp4,x,3\nb.mp4,y,4\n", r"line 1: cannot tell which column holds the labels \(3 columns without a header\)"),
        (
            "path,foo,bar\na.mp4,x,3\nb.mp4,y,4\n",
            r"which column holds the labels \(path, foo, bar\); call its column label",
        ),
        ('path,label\na.mp4,x\n"b.mp4,y\nc.mp4",y\n', "line 3: a quote opens"),
    ],
)
def test_mistakes_name_file_and_line(make: Make, write: Make, text: str, message: str) -> None:
    make("a.mp4", "b.mp4")
    with pytest.raises(DataSetError, match=message):
        read_data_set(write("t.csv", text))


def test_a_column_of_splits(make: Make, write: Make) -> None:
    make("a.mp4", "b.mp4", "c.mp4")
    with_header = read_data_set(write("t.csv", "path,label,split\na.mp4,x,Train\nb.mp4,y,valid\nc.mp4,x,\n"))
    assert [video.split for video in with_header.videos] == ["train", "val", None]
    without = read_data_set(write("t.csv", "train,a.mp4,x\nval,b.mp4,y\ntest,c.mp4,x\n"))
    assert [video.split for video in without.videos] == ["train", "val", "test"]
    assert without.classes == ("x", "y")


@pytest.mark.parametrize(
    "text",
    [
        "path,labels\na.mp4,run|jump\nb.mp4,run\nc.mp4,\n",
        'path;labels\na.mp4;"run; jump"\nb.mp4;run\nc.mp4;\n',
        '{"path": "a.mp4", "tags": ["run", "jump"]}\n{"path": "b.mp4", "tags": "run"}\n{"path": "c.mp4", "tags": []}',
    ],
)
def test_several_labels_in_a_cell(make: Make, write: Make, text: str) -> None:
    make("a.mp4", "b.mp4", "c.mp4")
    data = read_data_set(write("t.csv", text))
    assert data.kind == "multi"
    assert _rows(data) == [("a.mp4", ["run", "jump"]), ("b.mp4", ["run"]), ("c.mp4", [])]


def test_one_label_in_a_column_for_one_is_taken_as_it_is(make: Make, write: Make) -> None:
    make("a.mp4", "b.mp4")
    data = read_data_set(write("t.csv", "path,label\na.mp4,stand|sit\nb.mp4,run\n"))
    assert data.kind == "single"
    assert data.classes == ("run", "stand|sit")


def test_numbers_as_labels(make: Make, write: Make) -> None:
    folder = make("a b.mp4", "c.mp4", "d.mp4")
    table = write("train.csv", "a b.mp4 10\nc.mp4 2\nd.mp4 02\n")
    data = read_data_set(table)
    assert data.classes == ("2", "10")
    assert [video.labels for video in data.videos] == [(1,), (0,), (0,)]
    known = [f"class {number}" for number in range(11)]
    assert [video.labels for video in read_data_set(table, classes=known).videos] == [(10,), (2,), (2,)]
    with pytest.raises(UnknownName, match=r"train\.csv, line 1: no label 10 .*count from 0"):
        read_data_set(table, classes=known[:10])
    write("classes.json", '{"run": 2, "walk": 10, "jump": 3}')
    data = read_data_set(folder)
    assert data.classes == ("run", "walk")
    assert [video.labels for video in data.videos] == [(1,), (0,), (0,)]
    assert [video.split for video in data.videos] == ["train"] * 3
    write("classes.json", '["run", "walk", "jump"]')
    with pytest.raises(UnknownName, match=r"line 1: .*'10' .*3 classes \(0 to 2\)"):
        read_data_set(table)


def test_numbers_stay_as_they_are_written(make: Make, write: Make) -> None:
    make("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    data = read_data_set(write("t.csv", "a.mp4,010\nb.mp4,002\nc.mp4,3\nd.mp4,2\n"))
    assert data.classes == ("002", "3", "010")
    assert [video.labels for video in data.videos] == [(2,), (0,), (1,), (0,)]
    several = read_data_set(write("t.csv", "path,labels\na.mp4,01|1|2\nb.mp4,2\n"))
    assert [video.labels for video in several.videos] == [(0, 1), (1,)]


def test_a_folder_with_tables_of_splits(make: Make, write: Make) -> None:
    folder = make("videos/a.mp4", "videos/b.mp4", "videos/c.mp4")
    write("train.csv", "videos/a.mp4,x\nvideos/b.mp4,y\n")
    write("val.csv", "videos/c.mp4,x\n")
    data = read_data_set(folder)
    assert data.source == "train.csv and val.csv"
    assert [(video.path.name, video.split) for video in data.videos] == [
        ("a.mp4", "train"),
        ("b.mp4", "train"),
        ("c.mp4", "val"),
    ]
    write("train.txt", "videos/a.mp4 x\n")
    with pytest.raises(DataSetError, match=r"train\.csv and train\.txt"):
        read_data_set(folder)


def test_a_folder_with_one_table(make: Make, write: Make) -> None:
    folder = make("videos/a.mp4", "videos/b.mp4")
    write("labels.csv", "path,label\nvideos/a.mp4,x\nvideos/b.mp4,y\n")
    assert _rows(read_data_set(folder)) == [("a.mp4", ["x"]), ("b.mp4", ["y"])]
    make("others/c.mp4")  # now there are two folders of videos, but the table names the labels
    data = read_data_set(folder)
    assert data.classes == ("x", "y")
    assert data.passed_over == 1
    assert any("labels.csv elsewhere" in note for note in data.notes)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_videofolder_metadata(make: Make, write: Make, name: str) -> None:
    folder = make("train/0001.mp4", "train/0002.mp4", "test/0001.mp4")
    rows = [("train/0001.mp4", "x"), ("train/0002.mp4", "y"), ("test/0001.mp4", "x")]
    csv = "file_name,label\n" + "".join(f"{path},{label}\n" for path, label in rows)
    jsonl = "".join(f'{{"file_name": "{path}", "label": "{label}"}}\n' for path, label in rows)
    write(name, csv if name.endswith("csv") else jsonl)
    data = read_data_set(folder)
    assert data.source == "Hugging Face videofolder"
    assert [(video.split, video.labels) for video in data.videos] == [("train", (0,)), ("train", (1,)), ("test", (0,))]


def test_videofolder_metadata_in_each_split(make: Make, write: Make) -> None:
    folder = make("train/1.mp4", "train/2.mp4", "validation/1.mp4")
    write("train/metadata.csv", "file_name,labels\n1.mp4,x|y\n2.mp4,y\n")
    write("validation/metadata.csv", "file_name,labels\n1.mp4,x\n")
    data = read_data_set(folder)
    assert data.kind == "multi"
    assert [(str(video.path.relative_to(folder)), video.split) for video in data.videos] == [
        ("train/1.mp4", "train"),
        ("train/2.mp4", "train"),
        ("validation/1.mp4", "val"),
    ]
    write("validation/metadata.csv", "file_name,labels\n3.mp4,x\n")
    with pytest.raises(DataSetError, match=r"validation/metadata\.csv: 1 of 1 videos are missing \(line 2: 3\.mp4\)"):
        read_data_set(folder)
