"""What runs on the nodes, here without a cluster; a real one is in the slow tests of the command."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest

import nlvid_cli
from nlvid_cli.labelling.ray_engine import Gate, NetworkActor, _column_as_done, decode_row
from nlvid_cli.labelling.rows import FileState, Request, Row
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.recognize.recognizer import Recognizer, as_segment
from nlvid_cli.video.segment import Segment, Stretch
from tests.clips import make_clip, png

STATE = FileState(1, 2.5)


class Loaded:
    """A model that is there already."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    def load(self, device: str) -> Recognizer:
        assert device == "cpu"
        return self._recognizer


@pytest.fixture
def recognizer(model_file: Path) -> Recognizer:
    return nlvid_cli.load(model_file, device="cpu", precision="fp32", clips=2)


def look(recognizer: Recognizer, video: Path | Segment, may_begin: bool = True) -> tuple[str, Request]:
    """The row of a video, through a task and an actor."""
    request = Request(recognizer.card.name, recognizer.model_sha256, recognizer.views, False, Answer())
    rules = (recognizer.card.sampling, recognizer.card.preprocess)
    row: dict[str, Any] = {"video": json.dumps(as_segment(video).to_dict()), "file": json.dumps(STATE.record)}
    decoded = decode_row(row, rules, WorkerLimits(), lambda: may_begin)
    batch = {name: [value] for name, value in decoded.items()}
    (made,) = NetworkActor(Loaded(recognizer), request, "cpu")(batch)["line"]
    return made, request


def test_the_row_is_that_of_one_machine(recognizer: Recognizer, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "clip.mp4", frames=20)
    line, request = look(recognizer, video)
    assert line.encode() == Row.of(recognizer.classify(video, Answer()), STATE, request).line


def test_a_part_of_a_folder_of_frames_has_its_rate(recognizer: Recognizer, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.png").write_bytes(png(64, 48))
    segment = Segment(tmp_path, Stretch(0.0, 2.0), 12.5)
    line, request = look(recognizer, segment)
    assert line.encode() == Row.of(recognizer.classify(segment, Answer()), STATE, request).line
    assert json.loads(line)["fps"] == 12.5
    failed = json.loads(look(recognizer, Segment(tmp_path / "gone", fps=12.5))[0])
    assert (failed["fps"], failed["error"]["type"]) == (12.5, "VideoNotFound")


def test_a_broken_video_has_a_row_that_says_why(recognizer: Recognizer, tmp_path: Path) -> None:
    video = tmp_path / "broken.mp4"
    video.write_bytes(b"this is no video")
    row, _ = look(recognizer, video)
    assert json.loads(row)["error"]["type"] == "UnreadableVideo"


def test_a_video_that_may_not_be_begun_has_no_row(recognizer: Recognizer, tmp_path: Path) -> None:
    row, _ = look(recognizer, tmp_path / "nobody-looks.mp4", may_begin=False)
    assert row == ""


def test_a_closed_gate_says_how_many_were_let_in() -> None:
    gate = Gate()
    assert [gate.enter() for _ in range(3)] == [True] * 3
    assert gate.close() == 3
    assert not gate.enter()
    assert gate.close() == 3


def test_rows_arrive_a_block_at_a_time_through_ray_data_internals() -> None:
    """Fails when Ray moves the internals that ``_column_as_done`` uses; its docstring says why it uses them."""
    ray_data = pytest.importorskip("ray.data")
    table = pyarrow.table({"line": ["a", "b"]})
    assert callable(ray_data.Dataset.iter_internal_ref_bundles)
    assert ray_data.block.BlockAccessor.for_block(table).to_arrow().column("line").to_pylist() == ["a", "b"]
    assert hasattr(importlib.import_module("ray.data._internal.execution.interfaces").RefBundle, "block_refs")


def test_columns_are_read_block_by_block() -> None:
    class Bundle:
        def __init__(self, *blocks: pyarrow.Table) -> None:
            self.block_refs = blocks

    class Data:
        def iter_internal_ref_bundles(self) -> Iterator[Bundle]:
            yield Bundle(pyarrow.table({"line": ["a"]}), pyarrow.table({"line": ["b", "c"]}))
            yield Bundle(pyarrow.table({"line": ["d"]}))

    ray = SimpleNamespace(get=list, data=pytest.importorskip("ray.data"))
    assert list(_column_as_done(ray, Data(), "line")) == [["a"], ["b", "c"], ["d"]]
