from __future__ import annotations

import pytest

from nlvid_cli.datasets.numbered_labels import read_class_names
from nlvid_cli.errors import DataSetError
from tests.datasets.conftest import Make


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "run fast\nwalk\n"),
        ("a.txt", "0 run fast\r\n1 walk\r\n"),
        ("a.txt", "1,walk\n0,run fast\n"),
        ("a.txt", "run fast\t0\nwalk\t1\n"),
        ("a.json", '["run fast", "walk"]'),
        ("a.json", '{"\\"run fast\\"": 0, "walk": 1}'),
        ("a.json", '{"1": "walk", "0": "run fast"}'),
    ],
)
def test_names_by_number(write: Make, name: str, text: str) -> None:
    names = read_class_names(write(name, text))
    assert list(names.items()) == [("0", "run fast"), ("1", "walk")]


def test_numbers_may_begin_with_one(write: Make) -> None:
    assert read_class_names(write("classInd.txt", "1 ApplyEyeMakeup\n2 ApplyLipstick\n")) == {
        "1": "ApplyEyeMakeup",
        "2": "ApplyLipstick",
    }


def test_names_that_begin_with_numbers(write: Make) -> None:
    assert read_class_names(write("a.txt", "100 m run\njump\n")) == {"0": "100 m run", "1": "jump"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"run": 0, "walk": 0}', "number 0 has two names"),
        ("a.json", '{"run": "x"}', "must be a list of names, or an object"),
        ("a.json", "[1]", "must be a list of names, or an object"),
        ("a.txt", "run\nwalk\nrun\n", "a class name occurs twice"),
    ],
)
def test_mistakes(write: Make, name: str, text: str, message: str) -> None:
    with pytest.raises(DataSetError, match=rf"{name}: {message}"):
        read_class_names(write(name, text))
