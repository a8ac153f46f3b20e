from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlvid_cli.errors import OutputError, UnreadableVideo
from nlvid_cli.evaluation.evaluate import Evaluation
from nlvid_cli.report.evaluation import evaluation_json, evaluation_report
from nlvid_cli.report.table import console_for
from nlvid_cli.report.training_html import TrainingRun, write_evaluation_report, write_training_report
from tests.report.samples import made_evaluation

ROWS: tuple[dict[str, Any], ...] = (
    {"type": "step", "step": 1, "loss": 2.5, "learning_rate": 0.01, "clips_per_second": 8.0, "data_wait": 0.2},
    {"type": "step", "step": 2, "loss": 1.25, "learning_rate": 0.005, "clips_per_second": 9.5, "data_wait": 0.1},
    {"type": "epoch", "step": 2, "epoch": 1, "train_loss": 1.875, "train_figure": 0.5, "figures": {"top1": 0.75}},
)


class Page(HTMLParser):
    """The tags and the text of a page; every tag must be closed in its place."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


def _thumbnail(path: Path) -> bytes:
    if "broken" in path.name:
        raise UnreadableVideo("made by the test")
    return b"\xff\xd8" + path.name.encode("utf-8", "replace")


def _run(evaluation: Evaluation | None) -> TrainingRun:
    facts = (("base", "i3d"), ("data", "<clips> & more"))
    return TrainingRun("runs/<mine>", facts, ROWS, evaluation, (("bad & ugly.mp4", "empty file"),))


def test_a_run_on_one_page(tmp_path: Path) -> None:
    evaluation = made_evaluation()
    write_training_report(tmp_path / "report.html", _run(evaluation), _thumbnail)
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


def test_matrix_classes_and_mistakes(tmp_path: Path) -> None:
    write_evaluation_report(tmp_path / "report.html", made_evaluation(), _thumbnail)
    page = Page(tmp_path / "report.html")
    matrix = (tmp_path / "report.html").read_text(encoding="utf-8").split('class="matrix"')[1].split("</table>")[0]
    cells = re.findall(r"<td[^>]*>(\d*)</td>", matrix)
    assert cells == ["2", "1", "", "", "1", "", "", "1", ""]  # rows: run, walk <b>, sit
    assert "walk <b> (1)" in page.text  # what "run" was taken for
    images = [str(attributes["src"]) for tag, attributes in page.tags if tag == "img"]
    assert [base64.b64decode(image.partition(",")[2])[2:] for image in images] == [b"3 & <x>.mp4"]
    assert page.text.index("broken.mp4") < page.text.index("3 & <x>.mp4")  # the surest mistake first, without a picture


def test_many_classes_become_a_picture(tmp_path: Path) -> None:
    few = made_evaluation()
    confusion = np.eye(60, dtype=np.int64) * 3
    confusion[5, 7] = 2
    labels = tuple(f"class {n}" for n in range(60))
    many = replace(few, labels=labels, confusion=confusion, videos=())
    write_evaluation_report(tmp_path / "report.html", many, _thumbnail)
    page = Page(tmp_path / "report.html")
    assert [tag for tag, _ in page.tags].count("rect") == 61
    assert "class 5 as class 7: 2" in page.text


def test_several_labels_have_no_matrix(tmp_path: Path) -> None:
    several = replace(made_evaluation(), label_kind="multi", confusion=None, figures={"mAP": 0.625})
    write_evaluation_report(tmp_path / "report.html", several, _thumbnail)
    page = Page(tmp_path / "report.html")
    assert "mAP" in page.text
    assert "62.5 %" in page.text
    assert "average precision" in page.text
    assert "Confusion" not in page.text


def test_a_run_without_validation_and_names_that_are_no_text(tmp_path: Path) -> None:
    bad = ((b"caf\xe9.mp4".decode("utf-8", "surrogateescape"), "empty"),)
    write_training_report(tmp_path / "report.html", replace(_run(None), rows=(), bad=bad))
    page = Page(tmp_path / "report.html")
    assert "caf\ufffd.mp4" in page.text
    assert "svg" not in [tag for tag, _ in page.tags]
    with pytest.raises(OutputError, match="cannot write"):
        write_training_report(tmp_path / "none" / "report.html", _run(None))


def test_what_the_terminal_shows(tmp_path: Path) -> None:
    evaluation = made_evaluation()
    with (tmp_path / "table.txt").open("w", encoding="utf-8") as stream:
        console_for(stream).print(evaluation_report(evaluation, False, 1.5))
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
    from nlvid_cli.report.evaluation import calibration_sentence

    evaluation = made_evaluation()
    perfect = replace(evaluation, calibration=replace(evaluation.calibration, determined=False, temperature=0.05))
    assert calibration_sentence(perfect).startswith("no temperature can be told: the model is right about all these")
    hopeless = replace(evaluation, calibration=replace(evaluation.calibration, determined=False, temperature=20.0))
    assert "right about hardly any of these videos" in calibration_sentence(hopeless)
