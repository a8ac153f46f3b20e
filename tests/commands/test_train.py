"""``nlvid train`` as users call it."""

from __future__ import annotations

import json
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from nlvid_cli.commands import train as command
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.training.model import make_trainee, tensors_of
from tests.conftest import Run
from tests.training.made import QUICK, TINY, motions


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "videos"
    motions(folder, 5)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of a network that is quick to train."""
    path = tmp_path_factory.mktemp("base") / "tiny.safetensors"
    trainee = make_trainee(TINY, ("one", "two", "three"), "single", QUICK, None, seed=0)
    write_checkpoint(path, trainee.card, tensors_of(trainee.network.state_dict()))
    return path


def test_train_then_classify(run: Run, videos: Path, base: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine"
    quick = ("--device", "cpu", "--recipe", "scratch", "--epochs", 2, "--set", "validate_every=1")
    outcome = run("train", videos, "--base", base, *quick, "--nonlocal", "5", "-o", output)
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"{output / 'model.safetensors'}\n"
    assert "10 videos of 2 classes, folder per class, split val-0.2-seed-0" in outcome.err
    assert "note: recipe scratch: learning rate 0.05 for 16 clips, epochs 2" in outcome.err
    assert "clips are not mirrored" in outcome.err
    assert "epoch 2: loss " in outcome.err
    assert (output / "report.html").is_file()
    classified = run("classify", videos / "to the left" / "0.mp4", "--model", output / "model.safetensors")
    assert "to the left" in classified.out
    again = run("train", videos, "--base", base, *quick, "--nonlocal", "5", "-o", output, "--no-check")
    assert again.status == 2
    assert "already holds a run" in again.err
    resumed = run("train", videos, "--base", base, *quick, "--nonlocal", "5", "-o", output, "--resume")
    assert resumed.status == 0, resumed.err


def test_cross_validation(run: Run, videos: Path, base: Path, tmp_path: Path) -> None:
    quick = ("--device", "cpu", "--recipe", "scratch", "--epochs", 1, "--no-check")
    outcome = run("train", videos, "--base", base, *quick, "--folds", 2, "-o", tmp_path / "cross")
    assert outcome.status == 0, outcome.err
    models = [tmp_path / "cross" / f"fold-{k}-of-2" / "model.safetensors" for k in (1, 2)]
    assert outcome.out.split() == [str(model) for model in models]
    assert "mean of 2 runs: top1 " in outcome.err
    assert (tmp_path / "cross" / "folds.json").is_file()


def test_check_does_not_train(run: Run, videos: Path, tmp_path: Path) -> None:
    outcome = run("train", videos, "--check", "-o", tmp_path / "mine")
    assert outcome.status == 0
    assert outcome.out == ""
    assert "10 videos of 2 classes" in outcome.err
    assert not (tmp_path / "mine").exists()


def test_check_fails_where_a_video_cannot_be_used(run: Run, videos: Path, tmp_path: Path) -> None:
    data = tmp_path / "videos"
    shutil.copytree(videos, data)
    (data / "to the left" / "0.mp4").write_bytes(b"no video")
    outcome = run("train", data, "--check")
    assert outcome.status == 1
    assert "cannot be used: 1" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scratch", "--base", "i3d"), "choose one"),
        (("--scratch", "--as", "i3d"), "--as names the network"),
        (("--base", "nl-i3f"), "did you mean 'nl-i3d'"),
        (("--scratch", "--recipe", "paper32"), "did you mean 'paper-32'"),
        (("--scratch", "--leave-one-out"), "--leave-one-out needs --group-by"),
        (("--scratch", "--folds", "2", "--val-fraction", "0.1"), "remove --val-fraction"),
        (("--scratch", "--nonlocal", "10"), "has 2 and 3"),
        (("--scratch", "--batch", "0"), "batch is 0; it must be at least 1"),
        (("--scratch", "--gpus", "99"), "--gpus 99: this machine has"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], message: str, run: Run, videos: Path, tmp_path: Path) -> None:
    outcome = run("train", videos, "-o", tmp_path / "run", "--no-check", "--device", "cpu", *options)
    assert outcome.status == 2
    assert message in outcome.err
    assert not (tmp_path / "run").exists()


def test_check_prints_what_was_understood(run: Run, videos: Path, tmp_path: Path) -> None:
    files = sorted(videos.rglob("*.mp4"))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    rows = [*(f"{path},{path.parent.name},train" for path in files), "broken.mp4,to the left,train"]
    table = tmp_path / "train.csv"
    table.write_text("\n".join(["path,label,split", *rows]) + "\n")
    outcome = run("train", table, "--check", "--json")
    assert outcome.status == 1
    found = json.loads(outcome.out)
    problem = found["problems"][0]
    assert (problem["file"], problem["line"]) == (str(table), len(files) + 2)
    assert "broken.mp4" in problem["message"]
    assert {key: value for key, value in found.items() if key not in ("problems", "suspicions")} == {
        "format": "comma-separated table, with a header",
        "videos": len(files) + 1,
        "classes": ["to the left", "to the right"],
        "multi_label": False,
        "labels_per_video": {"min": 1, "max": 1},
        "stretches": 0,
        "splits": {"train": len(files) + 1},
        "passed_over": 0,
        "notes": [],
    }


def test_what_cannot_be_understood_is_an_error_in_json(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,duration\na.mp4,10\nb.mp4,11\n")
    outcome = run("train", table, "--check", "--json")
    assert outcome.status == 2
    error = json.loads(outcome.out)["error"]
    assert error["type"] == "Unlabelled"
    assert "path, duration" in error["message"]
    assert run("train", table, "--json").status == 2


def test_check_of_one_part_that_cannot_be_divided(run: Run, videos: Path, tmp_path: Path) -> None:
    files = [sorted((videos / name).glob("*.mp4"))[0] for name in ("to the left", "to the right")]
    table = tmp_path / "t.csv"
    table.write_text("path,label,split\n" + "".join(f"{path},{path.parent.name},train\n" for path in files))
    outcome = run("train", table, "--check")
    assert outcome.status == 0
    assert "no video left for validation" in outcome.err


def test_a_missing_library_is_named(run: Run, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return None if name == "accelerate" else ModuleSpec(name, None)

    monkeypatch.setattr(command, "find_spec", find_spec)
    outcome = run("train", videos)
    assert outcome.status == 2
    assert 'training needs accelerate; run pip install "nlvid-cli[train]"' in outcome.err


def test_a_table_with_a_root_and_missing_videos(run: Run, videos: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(videos)},{path.parent.name}" for path in sorted(videos.rglob("*.mp4"))]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label", *rows, "to the left/none.mp4,to the left"]) + "\n")
    check = ("train", table, "--check", "--root", videos)
    missing = run(*check)
    assert missing.status == 2
    assert "none.mp4" in missing.err
    assert run(*check, "--skip-missing").status == 0
    assert run("train", table, "--check", "--skip-missing").status == 2
