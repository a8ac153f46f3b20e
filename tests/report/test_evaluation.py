from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nlvid_cli.card.card import Labels
from nlvid_cli.evaluation.evaluate import ScoredVideo, summarise
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.report.console import PlainConsole
from nlvid_cli.report.evaluation import calibration_sentence, evaluation_json, evaluation_report
from tests.conftest import make_card
from tests.report.samples import made_evaluation


def test_what_the_terminal_shows(tmp_path: Path) -> None:
    evaluation = made_evaluation()
    with (tmp_path / "table.txt").open("w", encoding="utf-8") as stream:
        PlainConsole(stream).print(evaluation_report(evaluation, False, 1.5))
    text = (tmp_path / "table.txt").read_text(encoding="utf-8")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "top-1 60.0 %" in lines
    assert "videos 5, 1 failed (folder per class)" in lines
    assert lines.index("sit 1 0.0 % walk <b> (1)") < lines.index("run 3 66.7 % walk <b> (1)")
    assert "run walk <b> 1" in lines
    assert any(line.endswith("on cpu; 1.5 s") for line in lines)
    assert lines[-1].startswith("temperature ")


def test_keys_for_programs() -> None:
    values = evaluation_json(made_evaluation())
    assert values["figures"] == {"top1": 0.6, "mean_class_accuracy": pytest.approx((2 / 3 + 1 + 0) / 3)}
    assert values["confused"] == [
        {"actual": "run", "predicted": "walk <b>", "videos": 1},
        {"actual": "sit", "predicted": "walk <b>", "videos": 1},
    ]
    assert values["failures"][0] == {"video": "gone.mp4", "error": {"type": "X", "message": "y"}, "schema": 1}
    without = replace(made_evaluation(), figures={"mAP": float("nan")})
    assert evaluation_json(without)["figures"] == {"mAP": None}


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ([True], "right about all of them; use a set with right and wrong answers"),
        ([True] * 3, "right about all of them"),
        ([False] * 3, "right about none of them"),
        ([True, True, False, False], "right about 2 of 4, and the one that fits best is"),
        ([True, False], "right about 1 of 2, and"),
    ],
)
def test_a_model_that_gets_no_temperature(right: list[bool], words: str) -> None:
    """The scores of the wrong answers are the higher ones, so that no sharpness fits."""
    labels = Labels("single", 2, names=("run", "sit"))
    backend = SimpleNamespace(name="torch", device="cpu", precision="fp32")
    recognizer = Recognizer(make_card(labels=labels), backend)  # type: ignore[arg-type]
    videos = [
        ScoredVideo("v.mp4", "t.csv", (0,), np.array([0.6, 0.4] if is_right else [0.05, 0.95], np.float32))
        for is_right in right
    ]
    evaluation = summarise(videos, recognizer, "made")
    assert not evaluation.calibration.determined
    assert words in calibration_sentence(evaluation)
    assert "all of them" in words or "all of" not in calibration_sentence(evaluation)


def test_the_answers_of_a_model_for_several_labels_are_not_counted() -> None:
    evaluation = made_evaluation()
    several = replace(
        evaluation, label_kind="multi", calibration=replace(evaluation.calibration, determined=False, temperature=20.0)
    )
    assert "right about" not in calibration_sentence(several)
