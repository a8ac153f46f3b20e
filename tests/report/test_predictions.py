from __future__ import annotations

import csv
import io
import json

import numpy as np

from nlvid_cli.evaluation.evaluate import ScoredVideo
from nlvid_cli.recognize.prediction import Failure, FailureReason
from nlvid_cli.report.predictions import CsvPredictions, JsonLinesPredictions
from nlvid_cli.video.segment import Stretch

LABELS = ("run", "walk")
SCORES = np.array((0.75, 0.25), np.float32)
RESULTS = (
    ScoredVideo("a.mp4", "t.csv, line 2", (0,), SCORES, Stretch(2.0, 4.5)),
    ScoredVideo("a.mp4", "t.csv, line 3", (1,), SCORES),
    Failure("a.mp4", FailureReason("UnreadableVideo", "no frame"), Stretch(start_frame=500)),
)


def test_stretches_in_csv() -> None:
    stream = io.StringIO()
    writer = CsvPredictions(stream, LABELS)
    for result in RESULTS:
        writer.add(result)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert [(row["start_seconds"], row["end_seconds"], row["start_frame"]) for row in rows] == [
        ("2.0", "4.5", ""), ("", "", ""), ("", "", "500"),
    ]  # fmt: skip


def test_stretches_in_json_lines() -> None:
    stream = io.StringIO()
    writer = JsonLinesPredictions(stream, LABELS)
    for result in RESULTS:
        writer.add(result)
    stretches = [json.loads(line).get("stretch") for line in stream.getvalue().splitlines()]
    assert stretches == [{"start_seconds": 2.0, "end_seconds": 4.5}, None, {"start_frame": 500}]
