"""Real clips, real weights, the command as a user types it.

``data/action_clips.<model>.jsonl`` holds what ``nlvid classify . --model <model> --precision fp32 --backend torch``
printed in the folder of the clips before the package was rearranged (commit 9c3166a). Since then, only the frame rate
of the two AVI files with packed B-frames is no longer called variable.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"
FEW = ["S001C001P001R001A001_rgb.avi", "flipping_a_pancake.mkv"]
"""Clips of two containers."""


def classify(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "nlvid_cli", "classify", "--format", "jsonl", *arguments]
    all_threads = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, cwd=folder, env=all_threads, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def wanted_labels(folder: Path) -> dict[str, str]:
    with (folder / "labels.csv").open(newline="") as file:
        return {row["file"]: row["kinetics_label"] for row in csv.DictReader(file) if row["kinetics_label"]}


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("tiny", FEW),
        pytest.param("tiny", ["."], marks=pytest.mark.slow),
        pytest.param("i3d", FEW, marks=[pytest.mark.slow, pytest.mark.network]),
        pytest.param("i3d", ["."], marks=[pytest.mark.long, pytest.mark.network, pytest.mark.timeout(900)]),
    ],
    ids=["tiny-2 clips", "tiny", "i3d-2 clips", "i3d"],
)
def test_documents_are_those_of_before(shared: Path, model: str, names: list[str]) -> None:
    lines = (DATA / f"action_clips.{model}.jsonl").read_text(encoding="utf-8").splitlines()
    known = {row["video"]: row for row in map(json.loads, lines)}
    options = ["--model", model, "--precision", "fp32", "--backend", "torch", "--device", "cpu"]
    results = classify(shared / "videos" / "action", *options, *names)
    assert len(results) == (10 if names == ["."] else len(names))
    for result in results:
        assert_same(result, known[result["video"]])


def assert_same(new: Any, old: Any) -> None:
    """Keys, their order and all values; scores as far as processors agree."""
    if isinstance(old, dict):
        assert list(new) == list(old)
        for key, value in old.items():
            assert_same(new[key], value)
    elif isinstance(old, list):
        assert len(new) == len(old)
        for ours, theirs in zip(new, old, strict=True):
            assert_same(ours, theirs)
    elif isinstance(old, float):
        assert new == pytest.approx(old, rel=1e-4, abs=1e-7)
    else:
        assert new == old


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_labelled_clips_get_their_label(shared: Path) -> None:
    """Clips with a Kinetics label have it as top-1, with the default model and views."""
    folder = shared / "videos" / "action"
    wanted = wanted_labels(folder)
    assert len(wanted) == 8
    results = classify(folder, "--top-k", "1", *wanted)
    assert {result["video"]: result["predictions"][0]["label"] for result in results} == wanted
    assert {result["model"] for result in results} == {"i3d-inception-64x1.deepmind-k400"}
    assert {result["views"]["clips"] for result in results} == {10}
