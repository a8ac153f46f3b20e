from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.report.timeline.scores import write_scores
from tests.report.timeline.samples import made_timeline

NAMES = ("run", "run", "start_seconds", 'плавание, "游泳"\n')


def test_numpy_reads_them_without_pickle(tmp_path: Path) -> None:
    timeline = made_timeline(labels=NAMES, video=b"caf\xe9.mp4".decode("utf-8", "surrogateescape"))
    write_scores(timeline, tmp_path / "a.NPZ")
    with np.load(tmp_path / "a.NPZ", allow_pickle=False) as file:
        assert file["scores"].dtype == np.float32
        np.testing.assert_array_equal(file["scores"], timeline.scores)
        np.testing.assert_array_equal(file["start_seconds"], timeline.start_seconds)
        np.testing.assert_array_equal(file["end_seconds"], timeline.end_seconds)
        assert tuple(file["labels"].tolist()) == NAMES
        assert file["video"].item() == timeline.video
        assert file["model"].item() == timeline.prediction.model


def test_csv_has_a_row_per_window_and_a_column_per_label(tmp_path: Path) -> None:
    timeline = made_timeline(labels=NAMES)
    write_scores(timeline, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["start_seconds", "end_seconds", *NAMES]
    values = np.array(rows, np.float64)
    np.testing.assert_allclose(values[:, 2:], timeline.scores, rtol=1e-5)
    np.testing.assert_allclose(values[:, 0], timeline.start_seconds, atol=1e-6)
    np.testing.assert_allclose(values[:, 1], timeline.end_seconds, atol=1e-6)


def test_the_suffix_decides(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.npz"):
        write_scores(made_timeline(), tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["a.npz", "a.csv"])
def test_a_folder_that_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="write"):
        write_scores(made_timeline(), tmp_path / "missing" / name)
