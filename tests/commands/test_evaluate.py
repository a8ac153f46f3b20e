"""``nlvid evaluate`` from the outside."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.card.card import Card, Labels
from nlvid_cli.models.model_file import read_card, write_checkpoint
from tests.clips import make_clip, png
from tests.conftest import Run, random_tensors_of

SHOWN = {"Running": 0, "eating_cake": 1, "swimming": 2}
"""Folders of the data set, and the first clip in each."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class, two clips in each; names differ from the model's in case and underscores."""
    folder = tmp_path_factory.mktemp("val")
    sizes = [(64, 48), (96, 48), (48, 64), (64, 64), (80, 48), (48, 96)]
    for name, first in SHOWN.items():
        (folder / name).mkdir()
        for number in (first, first + 3):
            make_clip(folder / name / f"{number}.mp4", frames=18 + 4 * number, size=sizes[number])
    return folder


@pytest.fixture
def evaluate(run: Run, small_model_file: Path) -> Run:
    return lambda *arguments: run(
        "evaluate", "--model", small_model_file, "--device", "cpu", "--precision", "fp32", *arguments
    )


def test_json_and_predictions_agree_with_classify(
    evaluate: Run, run: Run, data: Path, small_model_file: Path, tmp_path: Path
) -> None:
    outcome = evaluate(data, "--json", "--predictions", tmp_path / "answers.jsonl")
    assert outcome.status == 0
    result = json.loads(outcome.out)
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    command = ["classify", "-m", small_model_file, "--device", "cpu", "--precision", "fp32", "-f", "jsonl"]
    classified = [json.loads(line) for line in run(*command, *(answer["video"] for answer in answers)).out.splitlines()]
    for answer, alone in zip(answers, classified, strict=True):
        by_index = sorted(alone["predictions"], key=lambda p: p["index"])
        assert answer["scores"] == [p["score"] for p in by_index]
    assert result["figures"]["top1"] == pytest.approx(np.mean([a["predicted"] in a["actual"] for a in answers]))
    assert (result["videos"], result["failed"], result["label_kind"]) == (6, 0, "single")
    assert [row["label"] for row in result["classes"]] == ["eating cake", "running", "swimming"]
    assert sum(pair["videos"] for pair in result["confused"]) == sum(not a["correct"] for a in answers)
    assert "'Running' as 'running'" in outcome.err
    assert result["notes"][0] in outcome.err


def test_what_the_user_reads(evaluate: Run, data: Path) -> None:
    outcome = evaluate(data, "-q")
    assert outcome.status == 0
    assert outcome.err == ""
    for text in ("top-1", "mean class accuracy", "calibration error", "eating cake", "most often predicted instead"):
        assert text in outcome.out
    assert "i3d-inception-8x2.test-made, 3 clips of 8 frames, step 2; torch fp32 on cpu" in outcome.out


def test_predictions_as_csv_and_a_video_that_fails(evaluate: Run, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "val")
    broken = tmp_path / "val" / "Running" / "broken.mp4"
    broken.write_bytes(b"nothing" * 1000)
    page = tmp_path / "page.html"
    outcome = evaluate(
        tmp_path / "val", "--predictions", tmp_path / "answers.csv", "--json", "--report", page, "--clips", 1
    )
    assert outcome.status == 1
    assert f"error: {broken}: " in outcome.err
    assert outcome.err.endswith("1 of 7 videos failed\n")
    result = json.loads(outcome.out)
    assert (result["videos"], result["failed"]) == (6, 1)
    html = page.read_text(encoding="utf-8")
    assert f"<b>{result['figures']['top1'] * 100:.1f} %</b>top-1" in html
    assert html.count("data:image/jpeg;base64,") == round(6 * (1 - result["figures"]["top1"]))
    assert str(broken) in html
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (failed,) = [row for row in rows if row["error_type"]]
    assert failed["video"] == str(broken)
    good = [row for row in rows if not row["error_type"]]
    assert sum(row["correct"] == "true" for row in good) / 6 == pytest.approx(result["figures"]["top1"])
    assert all((row["actual_rank"] == "1") == (row["correct"] == "true") for row in good)


def test_the_temperature_is_written_and_used(
    evaluate: Run, run: Run, data: Path, small_card: Card, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.safetensors"
    write_checkpoint(mine, small_card, random_tensors_of(small_card), source_sha256="0" * 64)
    common = ["evaluate", data, "-m", mine, "--device", "cpu", "--precision", "fp32", "--json", "--clips", 1]
    outcome = run(*common, "--write-temperature")
    assert outcome.status == 0
    found = json.loads(outcome.out)["calibration"]
    assert found["determined"]
    assert read_card(mine).temperature == pytest.approx(found["temperature"], abs=1e-6)
    assert "has the temperature" in outcome.err
    assert b'"source_sha256":"' + b"0" * 64 in mine.read_bytes()[:20000]
    again = json.loads(run(*common).out)["calibration"]
    assert again["present"] == read_card(mine).temperature
    assert again["likelihood"] == pytest.approx(found["likelihood_after"], rel=1e-4)
    assert again["temperature"] == pytest.approx(found["temperature"], rel=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]
    shown = run("models", "show", mine).out
    assert f"temperature  {read_card(mine).temperature:g}" in " ".join(shown.split(" ")).replace("   ", "  ")


def test_a_temperature_is_written_only_to_your_own_file(run: Run, data: Path) -> None:
    outcome = run("evaluate", data, "-m", "i3d", "--write-temperature")
    assert outcome.status == 2
    assert 'cp "$(nlvid models pull i3d)" mine.safetensors' in outcome.err
    outcome = run("evaluate", data, "-m", "theirs.pth", "--as", "i3d", "--write-temperature")
    assert outcome.status == 2
    assert "nlvid models convert theirs.pth --as i3d -o mine.safetensors" in outcome.err


def test_several_labels(run: Run, data: Path, small_card: Card, tmp_path: Path) -> None:
    """A table with a cell of labels; mAP by hand from the scores."""
    mine = tmp_path / "several.safetensors"
    several = replace(small_card, labels=Labels("multi", 5, names=small_card.labels.names))
    write_checkpoint(mine, several, random_tensors_of(several))
    videos = sorted(data.rglob("*.mp4"))
    truth = ["running|swimming", "dancing", "running", "swimming", "dancing|running", "running|swimming|dancing"]
    lines = [f"{video},{labels}" for video, labels in zip(videos, truth, strict=True)]
    (tmp_path / "val.csv").write_text("path,labels\n" + "\n".join(lines) + "\n")
    outcome = run("evaluate", tmp_path / "val.csv", "-m", mine, "--device", "cpu", "--precision", "fp32", "--json",
                  "--predictions", tmp_path / "p.jsonl")  # fmt: skip
    assert outcome.status == 0, outcome.err
    result = json.loads(outcome.out)
    answers = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    precisions = []
    for label in ("dancing", "running", "swimming"):
        place = (small_card.labels.names or ()).index(label)
        pairs = [(answer["scores"][place], label in answer["actual"]) for answer in answers]
        above = [[hit for score, hit in pairs if score >= least] for least, shown in pairs if shown]
        precisions.append(np.mean([sum(hits) / len(hits) for hits in above]))  # precision at each positive
    assert result["figures"] == {"mAP": pytest.approx(np.mean(precisions))}
    table = run("evaluate", tmp_path / "val.csv", "-m", mine, "--device", "cpu", "-q", "--clips", 1).out
    assert "mAP" in table
    assert "average precision" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predictions", "answers.xlsx"], ".csv or .jsonl"),
        (["--split", "val"], "no part of the data set is called 'val' (it has none)"),
    ],
)
def test_options_that_cannot_be(evaluate: Run, data: Path, options: list[str], message: str) -> None:
    outcome = evaluate(data, *options)
    assert outcome.status == 2
    assert message in outcome.err


def test_one_part_of_a_set(evaluate: Run, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "set" / "val")
    for name in SHOWN:
        (tmp_path / "set" / "train" / name).mkdir(parents=True)
        shutil.copy(next((data / name).iterdir()), tmp_path / "set" / "train" / name / "t.mp4")
    outcome = evaluate(tmp_path / "set", "--split", "train", "--json", "--clips", 1)
    assert json.loads(outcome.out)["videos"] == 3
    everything = evaluate(tmp_path / "set", "--json", "--clips", 1)
    assert json.loads(everything.out)["videos"] == 9
    assert "choose one with --split" in everything.err


def test_a_class_alone_and_classes_of_another_model(evaluate: Run, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "swimming", tmp_path / "one" / "swimming")
    assert json.loads(evaluate(tmp_path / "one", "--json", "--clips", 1).out)["videos"] == 2
    shutil.copytree(data, tmp_path / "other")
    (tmp_path / "other" / "swimming").rename(tmp_path / "other" / "swiming")
    outcome = evaluate(tmp_path / "other")
    assert outcome.status == 2
    assert "no label is called 'swiming'; did you mean 'swimming'" in outcome.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_the_answers_so_far(
    evaluate: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from nlvid_cli.recognize.recognizer import Recognizer

    score_many = Recognizer.score_many

    def interrupted(self: Recognizer, stretches: object) -> object:
        yield next(iter(score_many(self, stretches)))  # type: ignore[arg-type]
        signal.raise_signal(number)

    monkeypatch.setattr(Recognizer, "score_many", interrupted)
    outcome = evaluate(data, "--predictions", tmp_path / "answers.jsonl", "--json")
    assert outcome.status == 130
    assert outcome.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 1


def test_an_input_is_not_written_over(evaluate: Run, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "val")
    table = tmp_path / "table.csv"
    table.write_text("".join(f"val/{name}/{first}.mp4,{name}\n" for name, first in SHOWN.items()))
    before = table.read_text()
    for option, output in (("--predictions", table), ("--report", tmp_path / "val" / "swimming" / "2.mp4")):
        outcome = evaluate(table, option, output)
        assert outcome.status == 2, outcome.err
        assert f"{output}: is an input" in outcome.err
    assert table.read_text() == before


def test_folders_of_frames_and_parts_of_videos_in_a_table(evaluate: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(20):
        (tmp_path / "frames" / f"{number}.png").write_bytes(png(64, 48))
    shutil.copy(data / "swimming" / "2.mp4", tmp_path / "a.mp4")
    table = tmp_path / "t.csv"
    table.write_text("path,start,end,label\na.mp4,0:00.2,0:00:00.8,swimming\nframes,0,1:00,running\n")
    assert evaluate(table, "--json").status == 0
    table.write_text("path,start,end,label\na.mp4,0,0.5,swimming\nframes,0:01,0:01.5,running\n")
    assert evaluate(table, "--json", "--fps", "10").status == 0
    outcome = evaluate(table)  # at the 25 that are assumed, the second part is after the end
    assert outcome.status == 1
    assert "the video has 0.80 s (20 frames)" in outcome.err
    outcome = evaluate(data, "--fps", "10")
    assert (outcome.status, "names none" in outcome.err) == (2, True)
