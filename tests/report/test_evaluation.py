from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nlvid_cli.report.console import PlainConsole
from nlvid_cli.report.evaluation import calibration_sentence, evaluation_json, evaluation_report
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


def test_a_model_that_is_always_right_gets_no_temperature() -> None:
    evaluation = made_evaluation()
    perfect = replace(evaluation, calibration=replace(evaluation.calibration, determined=False, temperature=0.05))
    assert calibration_sentence(perfect).endswith(
        "the model is right about all of them; use a set with right and wrong answers"
    )
    hopeless = replace(evaluation, calibration=replace(evaluation.calibration, determined=False, temperature=20.0))
    assert "right about hardly any of them" in calibration_sentence(hopeless)
