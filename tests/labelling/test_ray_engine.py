"""What runs on the nodes, here without a cluster; a real one is in the slow tests of the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nlvid_cli
from nlvid_cli.labelling.ray_engine import Entrance, _Look, decode_row
from nlvid_cli.labelling.rows import Request, row_of
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.recognize.recognizer import Recognizer
from tests.clips import make_clip

STATE = {"size_bytes": 1}


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


def look(recognizer: Recognizer, video: Path, may_begin: bool = True) -> tuple[str, Request]:
    """The row of a video, through a task and an actor."""
    request = Request(recognizer.card.name, recognizer.model_sha256, recognizer.views, False, Answer())
    rules = (recognizer.card.sampling, recognizer.card.preprocess)
    row: dict[str, Any] = {"video": json.dumps(str(video)), "file": json.dumps(STATE)}
    decoded = decode_row(row, rules, WorkerLimits(), lambda: may_begin)
    batch = {name: [value] for name, value in decoded.items()}
    (made,) = _Look(Loaded(recognizer), request, "cpu")(batch)["row"]
    return made, request


def test_the_row_is_that_of_one_machine(recognizer: Recognizer, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "clip.mp4", frames=20)
    row, request = look(recognizer, video)
    assert json.loads(row) == json.loads(json.dumps(row_of(recognizer.classify(video, Answer()), STATE, request)))


def test_a_broken_video_has_a_row_that_says_why(recognizer: Recognizer, tmp_path: Path) -> None:
    video = tmp_path / "broken.mp4"
    video.write_bytes(b"this is no video")
    row, _ = look(recognizer, video)
    assert json.loads(row)["error"]["type"] == "UnreadableVideo"


def test_a_video_that_may_not_be_begun_has_no_row(recognizer: Recognizer, tmp_path: Path) -> None:
    row, _ = look(recognizer, tmp_path / "nobody-looks.mp4", may_begin=False)
    assert row == ""


def test_a_closed_entrance_says_how_many_were_let_in() -> None:
    entrance = Entrance()
    assert [entrance.enter() for _ in range(3)] == [True] * 3
    assert entrance.close() == 3
    assert not entrance.enter()
    assert entrance.close() == 3
