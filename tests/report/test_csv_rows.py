from __future__ import annotations

import csv
import io
from dataclasses import replace

from nlvid_cli.report.csv_rows import COLUMNS, CsvRenderer
from nlvid_cli.video.segment import Stretch
from tests.report.samples import FAILURE, PREDICTION


def _rows(timeline: bool) -> list[dict[str, str]]:
    stream = io.StringIO()
    renderer = CsvRenderer(stream, timeline)
    renderer.add(PREDICTION, 1.0)
    renderer.add(FAILURE, 1.0)
    renderer.close()
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_a_row_per_label_and_one_per_failure() -> None:
    rows = _rows(timeline=False)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["video"], row["rank"], row["label"], row["score"]) for row in rows] == [
        ("clips/[a] b.mp4", "1", "arm wrestling", "0.998000"),
        ("clips/[a] b.mp4", "2", "massaging [back]", "0.001000"),
        ("music.mp3", "", "", ""),
    ]
    assert (rows[2]["error_type"], rows[2]["error_message"][:15]) == ("NoVideoStream", "no video stream")
    assert (rows[0]["clip"], rows[0]["start_seconds"], rows[0]["end_seconds"]) == ("", "0.0", "10.01")


def test_the_timeline_adds_the_clips() -> None:
    rows = _rows(timeline=True)
    assert [row["clip"] for row in rows] == ["", "", "1", "2", ""]
    assert (rows[3]["start_seconds"], rows[3]["end_seconds"], rows[3]["label"]) == (
        "7.5",
        "3671.25",
        "massaging [back]",
    )


def test_rows_of_a_stretch_say_where_it_is() -> None:
    parts = [Stretch(2.0, 4.5), Stretch(start_frame=30), Stretch(9.0, 99.0)]
    stream = io.StringIO()
    renderer = CsvRenderer(stream, timeline=False)
    for part in parts:
        renderer.add(replace(PREDICTION, stretch=part, predictions=PREDICTION.predictions[:1]), 1.0)
    renderer.add(replace(FAILURE, stretch=parts[0]), 1.0)
    rows = csv.DictReader(io.StringIO(stream.getvalue()))
    assert [(row["start_seconds"], row["end_seconds"]) for row in rows] == [
        ("2.0", "4.5"), ("1.001001", "10.01"), ("9.0", "10.01"), ("2.0", "4.5"),
    ]  # fmt: skip
