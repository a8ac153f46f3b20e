from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlvid_cli.report.evaluation_page import write_evaluation_page
from tests.report.pages import Page, thumbnail
from tests.report.samples import made_evaluation


def test_matrix_classes_and_mistakes(tmp_path: Path) -> None:
    write_evaluation_page(tmp_path / "report.html", made_evaluation(), thumbnail)
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
    write_evaluation_page(tmp_path / "report.html", many, thumbnail)
    page = Page(tmp_path / "report.html")
    assert [tag for tag, _ in page.tags].count("rect") == 61
    assert "class 5 predicted as class 7: 2" in page.text


def test_several_labels_have_no_matrix(tmp_path: Path) -> None:
    several = replace(made_evaluation(), label_kind="multi", confusion=None, figures={"mAP": 0.625})
    write_evaluation_page(tmp_path / "report.html", several, thumbnail)
    page = Page(tmp_path / "report.html")
    assert "mAP" in page.text
    assert "62.5 %" in page.text
    assert "average precision" in page.text
    assert "Confusion" not in page.text
