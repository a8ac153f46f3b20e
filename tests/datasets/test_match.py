from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.match import match_classes
from nlvid_cli.errors import UnknownName, UsageError


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
    with pytest.raises(UnknownName, match=r"none of its 2 \(x, y\) is among the model's 2 \(running, swimming\)"):
        match_classes(replace(data, classes=("x", "y")), labels, "m")
    ambiguous = replace(data, classes=("running", "A.B"))
    with pytest.raises(UnknownName, match=r"no label is called 'A\.B'"):  # "a-b" and "ab" are alike
        match_classes(ambiguous, ("running", "a-b", "ab"), "m")
    numbers = replace(data, classes=("1", "0"))
    assert [video.labels for video in match_classes(numbers, labels, "m")[0].videos] == [(1,), (0,)]
    assert (
        "labels are numbers, taken as places, from 0, among the model's labels: 1 as 'swimming'"
        in match_classes(numbers, labels, "m")[1][0]
    )
    with pytest.raises(UnknownName, match=r"none of its 2 \(0, 2\) is among"):
        match_classes(replace(data, classes=("0", "2")), labels, "m")
    with pytest.raises(UsageError, match="holds no video"):
        match_classes(replace(data, videos=()), labels, "m")
    with pytest.raises(UnknownName, match="none of the videos has a label"):
        match_classes(_data([()], ()), labels, "m")
