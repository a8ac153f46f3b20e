from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nlvid_cli.card.manifest import find_card, label_names
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.match import match_classes, read_for_model
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import UnknownName, UsageError
from tests.datasets.conftest import Make


def _data(labels: list[tuple[int, ...]], classes: tuple[str, ...]) -> DataSet:
    rows = tuple(LabelledVideo(Path("v.mp4"), found, f"val.csv, line {n}") for n, found in enumerate(labels, start=1))
    return DataSet(rows, classes, "single", "CSV")


def test_names_are_matched_by_letters_and_digits() -> None:
    labels = ("air drumming", "passing American football (in game)", "tai chi", "a-b", "ab")
    data = _data([(0,), (1,), (3,)],
                 ("air_drumming", "passing_american_football_in_game", "never shown", "ab"))  # fmt: skip
    matched, notes = match_classes(data, labels, "m")
    assert [video.labels for video in matched.videos] == [(0,), (1,), (4,)]
    assert matched.classes == labels
    assert "'air_drumming' as 'air drumming'" in notes[0]


def test_labels_that_the_model_does_not_know() -> None:
    labels = ("running", "swimming")
    data = _data([(0,), (1,)], ("running", "swiming"))
    with pytest.raises(
        UnknownName, match=r"no label is called 'swiming'; did you mean 'swimming'\? \(val\.csv, line 2"
    ):
        match_classes(data, labels, "m")
    with pytest.raises(UnknownName, match=r"\(x, y\).* \(running, swimming\)"):
        match_classes(replace(data, classes=("x", "y")), labels, "m")
    ambiguous = replace(data, classes=("running", "A.B"))
    with pytest.raises(UnknownName, match=r"no label is called 'A\.B'"):  # "a-b" and "ab" are alike
        match_classes(ambiguous, ("running", "a-b", "ab"), "m")
    numbers = replace(data, classes=("1", "0"))
    assert [video.labels for video in match_classes(numbers, labels, "m")[0].videos] == [(1,), (0,)]
    assert (
        "labels of the data set are numbers, taken as indices, from 0, of the model's labels: 1 as 'swimming'"
        in match_classes(numbers, labels, "m")[1][0]
    )
    with pytest.raises(UnknownName, match=r"\(0, 2\)"):
        match_classes(replace(data, classes=("0", "2")), labels, "m")
    with pytest.raises(UsageError, match="no video"):
        match_classes(replace(data, videos=()), labels, "m")
    with pytest.raises(UnknownName, match="has a label"):
        match_classes(_data([()], ()), labels, "m")


def test_published_label_files_work_directly(make: Make, write: Make) -> None:
    """Kinetics with underscores for blanks, and Charades with its codes, against the labels of nlvid's models."""
    folder = make("air_drumming/b-c_000000_000010.mp4", "abseiling/a_000010_000020.mp4")
    kinetics = label_names(find_card("i3d"))
    table = write(
        "val.csv", "label,youtube_id,time_start,time_end,split\nabseiling,a,10,20,val\nair_drumming,b-c,0,10,val\n"
    )
    matched, notes = match_classes(read_for_model(table, kinetics), kinetics, "i3d")
    assert [video.labels for video in matched.videos] == [(0,), (1,)]
    assert "'air_drumming' as 'air drumming'" in notes[0]
    assert "2 of the model's 400 labels occur" in notes[1]

    by_folder, _ = match_classes(read_for_model(folder / "abseiling" / "..", kinetics), kinetics, "i3d")
    assert sorted(video.labels for video in by_folder.videos) == [(0,), (1,)]

    make("test/YSKX3.mp4")
    row = 'YSKX3,FN7A,Kitchen,6,7,Yes,"Drinks.",cup,drinks,c092 11.90 21.20;c147 0.00 12.60,30.5\n'
    header = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
    charades = label_names(find_card("nl-i3d-charades"))
    found = read_for_model(write("Charades_v1_test.csv", header + row), charades)
    assert match_classes(found, charades, "nl-i3d-charades")[0].videos[0].labels == (92, 147)


def test_numbers_of_pyslowfasts_lists_are_places(make: Make, write: Make) -> None:
    make("a.mp4", "b.mp4")
    kinetics = label_names(find_card("i3d"))
    data = read_for_model(write("val.csv", "a.mp4 6\nb.mp4 399\n"), kinetics)
    matched, notes = match_classes(data, kinetics, "i3d")
    assert [kinetics[video.labels[0]] for video in matched.videos] == ["arm wrestling", "zumba"]
    assert "taken as indices, from 0, of the model's labels: 6 as 'arm wrestling'" in notes[0]


def test_numbers_that_are_names_are_no_places(make: Make, write: Make) -> None:
    """A model of classes 01 to 05, and tables that write the same numbers in any way."""
    make(*(f"{n}.mp4" for n in range(5)))
    model = ("01", "02", "03", "04", "05")
    for spelling in ("{:02}", "{}", "{:03}"):
        rows = [f"{n}.mp4,{spelling.format(n)}\n" for n in range(1, 5)]
        data = read_for_model(write("t.csv", "".join(rows)), model)
        matched, _ = match_classes(data, model, "m")
        assert [model[video.labels[0]] for video in matched.videos] == list(model[:4])
        assert [video.labels for video in read_data_set(write("t.csv", "".join(rows)), model).videos] == [
            (0,),
            (1,),
            (2,),
            (3,),
        ]
    zero = read_for_model(write("t.csv", "0.mp4,0\n1.mp4,6\n"), model)
    with pytest.raises(UnknownName, match=r"\(0, 6\).* 5 labels"):
        match_classes(zero, model, "m")
    with pytest.raises(UnknownName, match="no class is called '0'"):
        read_data_set(write("t.csv", "0.mp4,0\n1.mp4,2\n"), model)


def test_a_number_of_thousands_of_digits(make: Make, write: Make) -> None:
    make("a.mp4", "b.mp4")
    table = write("t.csv", f"a.mp4,{'9' * 5000}\nb.mp4,1\n")
    data = read_data_set(table)
    assert data.classes == ("1", "9" * 5000)
    kinetics = label_names(find_card("i3d"))
    with pytest.raises(UnknownName, match="none of the 2"):
        match_classes(data, kinetics, "i3d")
    with pytest.raises(UnknownName, match="no label 999"):
        read_data_set(table, kinetics)
    write("classes.txt", f"1 run\n{'9' * 5000} walk\n")
    with pytest.raises(UnknownName, match="2 classes"):
        read_data_set(table)
