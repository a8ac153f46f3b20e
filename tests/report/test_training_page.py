from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nlvid_cli.errors import OutputError
from nlvid_cli.evaluation.evaluate import Evaluation
from nlvid_cli.report.training_page import TrainingRun, write_training_page
from tests.report.pages import Page, thumbnail
from tests.report.samples import made_evaluation

ROWS: tuple[dict[str, Any], ...] = (
    {"type": "step", "step": 1, "loss": 2.5, "learning_rate": 0.01, "clips_per_second": 8.0, "data_wait": 0.2},
    {"type": "step", "step": 2, "loss": 1.25, "learning_rate": 0.005, "clips_per_second": 9.5, "data_wait": 0.1},
    {"type": "epoch", "step": 2, "epoch": 1, "train_loss": 1.875, "train_figure": 0.5, "figures": {"top1": 0.75}},
)


def _run(evaluation: Evaluation | None) -> TrainingRun:
    facts = (("base", "i3d"), ("data", "<clips> & more"))
    return TrainingRun("runs/<mine>", facts, ROWS, evaluation, (("bad & ugly.mp4", "empty file"),))


def test_a_run_on_one_page(tmp_path: Path) -> None:
    evaluation = made_evaluation()
    write_training_page(tmp_path / "report.html", _run(evaluation), thumbnail)
    page = Page(tmp_path / "report.html")
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert "link" not in names
    addresses = [str(attributes[key]) for _, attributes in page.tags for key in ("src", "href") if key in attributes]
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert "http" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (
        "runs/<mine>",
        "<clips> & more",
        "bad & ugly.mp4",
        "empty file",
        "Loss",
        "Learning rate",
        "top-1, validation",
    ):
        assert text in page.text
    for number in ("1.25", "1.875", "75 %", "60.0 %"):  # last loss, epoch loss, validation, evaluation's top-1
        assert number in page.text
    assert names.count("svg") == 5  # a chart for each rule; the matrix of few classes is a table


def test_a_run_without_validation_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    bad = ((b"caf\xe9.mp4".decode("utf-8", "surrogateescape"), "empty"),)
    write_training_page(tmp_path / "report.html", replace(_run(None), rows=(), bad=bad))
    page = Page(tmp_path / "report.html")
    assert "caf\ufffd.mp4" in page.text
    assert "svg" not in [tag for tag, _ in page.tags]
    with pytest.raises(OutputError, match="cannot write"):
        write_training_page(tmp_path / "none" / "report.html", _run(None))
