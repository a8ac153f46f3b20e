from __future__ import annotations

import io
import json

from nlvid_cli.report.json_lines import JsonLinesRenderer, JsonRenderer
from tests.report.samples import FAILURE, PREDICTION

KEYS = [
    "schema", "video", "model", "backend", "device", "precision", "duration_seconds", "frame_rate",
    "variable_frame_rate", "width", "height", "rotation_degrees", "views", "label_kind", "predictions", "unsure",
    "clips", "warnings",
]  # fmt: skip


def test_a_line_is_there_as_soon_as_its_video_is_done() -> None:
    stream = io.StringIO()
    renderer = JsonLinesRenderer(stream)
    renderer.add(PREDICTION, 1.0)
    first = json.loads(stream.getvalue())
    assert list(first) == KEYS
    assert first["schema"] == 1
    assert first["views"] == {"clips": 2, "crops": 1, "frames": 64, "step": 1, "frame_rate": 25.0}
    assert first["predictions"][0] == {"label": "arm wrestling", "index": 6, "score": 0.998}
    assert first["clips"][1]["end_seconds"] == 3671.25
    renderer.add(FAILURE, 1.0)
    renderer.close()
    assert json.loads(stream.getvalue().splitlines()[1]) == {
        "schema": 1,
        "video": "music.mp3",
        "error": {"type": "NoVideoStream", "message": "no video stream (the file has only audio)"},
    }


def test_json_of_one_video_is_an_object() -> None:
    stream = io.StringIO()
    renderer = JsonRenderer(stream, single=True)
    renderer.add(PREDICTION, 1.0)
    renderer.close()
    assert list(json.loads(stream.getvalue())) == KEYS


def test_json_of_several_is_an_array_even_if_it_ends_early() -> None:
    for count in (0, 1, 2):
        stream = io.StringIO()
        renderer = JsonRenderer(stream, single=False)
        for result in (PREDICTION, FAILURE)[:count]:
            renderer.add(result, 1.0)
        renderer.close()
        assert len(json.loads(stream.getvalue())) == count


def test_a_file_name_that_is_no_text_survives() -> None:
    stream = io.StringIO()
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    JsonLinesRenderer(stream).add(type(FAILURE)(name, FAILURE.error), 1.0)
    assert json.loads(stream.getvalue().encode("ascii"))["video"] == name
