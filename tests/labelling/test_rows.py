"""Rows are the bytes that earlier versions wrote, and what is not a row is refused in one way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nlvid_cli.labelling.rows import FileState, Request, Row
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.prediction import ClipPrediction, Failure, FailureReason, LabelScore, Prediction, Views
from nlvid_cli.video.info import VideoFacts

BEFORE = Path(__file__).with_name("rows_before.jsonl").read_bytes().splitlines(keepends=True)
"""Lines that the version before :class:`Row` wrote for the results below."""

MODEL = "i3d-inception-8x2.test-made"
VIEWS = Views(3, 1, 8, 2, 25.0)
REQUEST = Request(MODEL, "0123456789abcdef", VIEWS, False, Answer(top_k=2, labels=("swim*", "run")))
AUTO = Request(MODEL, None, Views(10, 3, 32, 2), True, Answer(top_k=None, threshold=0.25, min_score=0.5))
BEST = (LabelScore('a "label", \\ "backend": "\u00e9', 1, 0.8125), LabelScore("running", 2, 1e-07))
CLIPS = (ClipPrediction(0.0, 0.32, BEST), ClipPrediction(0.64, 1.000001, BEST[:1]))

ROWS = [
    Row.of(
        Prediction(
            "v/a b.mp4", MODEL, "torch", "cuda:0", "bf16", VideoFacts(1.04, 29.97003, True, 64, 48, 90),
            VIEWS, "single", BEST, False, CLIPS, ("its time stamps jump",),
        ),
        FileState(39114, 1795741384.181357),
        REQUEST,
    ),
    Row.of(
        Prediction(
            "s3://bucket/a.mp4", MODEL, "onnx", "cpu", "int8", VideoFacts(600.0, 25.0, False, 340, 256),
            Views(3, 3, 32, 2), "multi", BEST[1:], True, (),
        ),
        FileState(12345678901, etag='"5"'),
        AUTO,
    ),
    Row.of(
        Failure(os.fsdecode(b"caf\xe9\n.mp4"), FailureReason("UnreadableVideo", "empty file (0 bytes)")),
        FileState(0, 1.5),
        REQUEST,
    ),
    Row.of(
        Failure("hf://datasets/a/b.mp4", FailureReason("RemoteFailure", "cannot be read (TimeoutError)")), None, AUTO
    ),
    Row.of(
        Failure("https://host/a.mp4", FailureReason("VideoNotFound", "nothing is at this address")),
        FileState(None),
        AUTO,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row", "line"), list(zip(ROWS, BEFORE, strict=True)))
def test_rows_are_the_bytes_of_before(row: Row, line: bytes) -> None:
    assert row.line == line


@pytest.mark.parametrize("row", ROWS)
def test_a_row_that_is_read_equals_the_row_that_was_written(row: Row) -> None:
    read = Row.parse(row.line)
    assert read.summary == row.summary
    assert read.summary.key == row.summary.key
    assert read.video_seconds == row.video_seconds
    assert json.dumps(read.record) == json.dumps(row.record)


def _changed(row: Row, **changes: Any) -> bytes:
    return (json.dumps(row.record | changes) + "\n").encode()


def _without(row: Row, key: str) -> bytes:
    return (json.dumps({name: value for name, value in row.record.items() if name != key}) + "\n").encode()


NO_ROWS = {
    "cut": BEFORE[0][:-2],
    "not_json": b"{nothing}\n",
    "not_utf8": b'{"\xff": 1}\n',
    "a_number": b"1}\n",
    "too_deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n",
    "long_number": b'{"schema": ' + b"1" * 5000 + b"}\n",
    "a_list_for_a_path": _changed(ROWS[0], video=["a.mp4"]),
    "a_number_for_a_model": _changed(ROWS[0], model=1),
    "text_for_views_asked": _changed(ROWS[0], asked="all"),
    "null_for_an_answer": _changed(ROWS[0], answer=None),
    "text_for_a_file": _changed(ROWS[0], file="a.mp4"),
    "text_for_a_time": _changed(ROWS[0], file={"size_bytes": 1, "modified_seconds": "now"}),
    "text_for_an_error": _changed(ROWS[2], error="broken"),
    "an_error_without_a_message": _changed(ROWS[2], error={"type": "UnreadableVideo"}),
    "a_number_for_views": _changed(ROWS[0], views=3),
    "a_number_for_warnings": _changed(ROWS[0], warnings=7),
    "text_for_a_score": _changed(ROWS[0], predictions=[{"label": "a", "index": 0, "score": "z"}]),
    "text_for_labels": _changed(ROWS[0], predictions="abc"),
    "text_for_a_width": _changed(ROWS[0], width="64"),
    "a_truth_for_a_width": _changed(ROWS[0], width=True),
    "a_truth_for_an_index": _changed(ROWS[0], predictions=[{"label": "a", "index": True, "score": 1}]),
    "a_huge_index": _changed(ROWS[0], predictions=[{"label": "a", "index": 2**31, "score": 1}]),
    "a_huge_size": _changed(ROWS[0], file={"size_bytes": 2**63}),
    "a_huge_duration": _changed(ROWS[0], duration_seconds=10**400),
    "infinity_for_a_duration": _changed(ROWS[0], duration_seconds=float("inf")),
    "half_a_character": _changed(ROWS[0], video="\ud800"),
    "deep_views": _changed(ROWS[0]).replace(b'"asked": {', b'"asked": {"a": ' + b"[" * 900 + b"]" * 900 + b", "),
    **{f"no_{key}": _without(ROWS[0], key) for key in ("video", "model", "file", "asked", "answer", "predictions")},
}


@pytest.mark.parametrize("line", list(NO_ROWS.values()), ids=list(NO_ROWS))
def test_what_is_not_a_row_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"row|incomplete"):
        Row.parse(line)


@pytest.mark.parametrize("key", ["model_sha256", "warnings", "unsure", "rotation_degrees"])
def test_rows_of_early_versions_lack_keys(key: str) -> None:
    assert Row.parse(_without(ROWS[0], key)).summary.video == "v/a b.mp4"
