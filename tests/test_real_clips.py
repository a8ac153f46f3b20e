"""Real clips, real Kinetics weights, the command as a user types it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.network


@pytest.mark.timeout(900)
def test_labelled_clips_get_their_label(shared: Path) -> None:
    """All clips with a Kinetics label have it as top-1, with the default model and views."""
    folder = shared / "videos" / "action"
    with (folder / "labels.csv").open(newline="") as file:
        wanted = {row["file"]: row["kinetics_label"] for row in csv.DictReader(file) if row["kinetics_label"]}
    assert len(wanted) == 8
    command = [sys.executable, "-m", "nlvid_cli", "classify", "--format", "jsonl", "--top-k", "1"]
    done = subprocess.run(
        [*command, *(str(folder / name) for name in wanted)], stdout=subprocess.PIPE, text=True, check=True
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(result["video"]).name: result["predictions"][0]["label"] for result in results} == wanted
    assert {result["model"] for result in results} == {"i3d-inception-64x1.deepmind-k400"}
    assert {result["views"]["clips"] for result in results} == {10}
