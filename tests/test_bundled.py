"""The model that comes with nlvid: it is what its entry says, and it works where nothing can be fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import nlvid_cli
from nlvid_cli.card.manifest import find_card, load_manifest, weights_folder
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.datasets.split import leave_one_group_out
from nlvid_cli.evaluation.evaluate import evaluate
from nlvid_cli.models.find import find_file
from nlvid_cli.models.model_file import open_checkpoint, read_card
from nlvid_cli.system.hashes import sha256_of
from tests.clips import make_clip

NAME = "nl1-i3d-inception-16x2.nlvid-weizmann"


@pytest.fixture(scope="module")
def file() -> Path:
    return weights_folder() / f"{NAME}.safetensors"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=40)


def test_the_file_is_small_and_what_the_manifest_says(file: Path) -> None:
    card = find_card("tiny")
    assert card.name == NAME
    assert file.stat().st_size < 6_000_000
    (source,) = card.sources
    assert source.kind == "bundled"
    assert (source.sha256, source.size_bytes) == (sha256_of(file), file.stat().st_size)
    # the file was written with the entry's card, before the sum in that entry could be known
    own = read_card(file)
    assert replace(own, sources=()) == replace(card, sources=())
    with safe_open(file, framework="numpy") as tensors:
        assert {tensors.get_tensor(name).dtype for name in tensors.keys()} == {np.dtype(np.float16)}  # noqa: SIM118


def test_the_card_tells_data_recipe_accuracy_and_terms() -> None:
    card = find_card("tiny")
    assert "recipe small" in card.origin
    assert "Weizmann" in card.origin
    assert "for research only" in card.licence
    assert not card.commercial_use
    (accuracy,) = card.accuracy
    assert (accuracy.data_set, accuracy.metric) == ("Weizmann", "top-1")
    assert "leave one person out, 9 people" in accuracy.protocol
    assert card.architecture.nonlocal_blocks is not None
    assert load_manifest().default[-1] == NAME


@pytest.mark.network
def test_every_weight_was_trained_here(file: Path) -> None:
    """Nothing but norms, which the recipe keeps, is left as it was in the base."""
    (_, theirs), (_, ours) = open_checkpoint(find_file(find_card("i3d"))), open_checkpoint(file)
    assert len(ours.keys() & theirs.keys()) > 100
    same = [name for name in ours if name in theirs and np.array_equal(ours[name], theirs[name].astype(np.float16))]
    assert all(".norm." in name for name in same)


def test_it_works_with_nothing_but_the_package(clip: Path, tmp_path: Path) -> None:
    """No cache, no network: every address is closed, and any attempt to resolve a name ends the process."""
    code = (
        "import socket, sys\n"
        "def refuse(*arguments, **names): raise SystemExit('asked for the network')\n"
        "socket.getaddrinfo = socket.create_connection = refuse\n"
        "from nlvid_cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, "classify", str(clip), "--model", "tiny", "-f", "json"]
    environment = os.environ | {"NLVID_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["model"] == NAME
    assert sum(p["score"] for p in result["predictions"]) <= 1.0 + 1e-6
    assert {p["label"] for p in result["predictions"]} <= set(find_card("tiny").labels.names or ())
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("people", "clips"), [(["daria"], 3), pytest.param(["daria", "shahar"], 10, marks=pytest.mark.slow)]
)
def test_the_people_it_was_trained_on(shared: Path, people: list[str], clips: int) -> None:
    """A sanity check of the file, not its accuracy: the figure in the card is that of people never seen."""
    data = read_data_set(shared / "datasets" / "weizmann")
    theirs = [video for video in data.videos if video.path.name.startswith(tuple(people))]
    evaluation = evaluate(replace(data, videos=tuple(theirs)), nlvid_cli.load("tiny", clips=clips))
    assert len(evaluation.videos) == 10 * len(people)
    assert evaluation.figures["top1"] >= 0.95


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_person_it_has_never_seen(shared: Path, tmp_path: Path) -> None:
    """The recipe again, without one person: the rate in the card, give or take a clip or two of the ten."""
    from nlvid_cli.training.plan import TrainingPlan, find_base
    from nlvid_cli.training.recipe import RECIPES
    from nlvid_cli.training.run import train_split

    data = read_data_set(shared / "datasets" / "weizmann")
    split = next(leave_one_group_out(data, "^[^_]+"))
    result = train_split(
        split, tmp_path / "run", TrainingPlan(find_base("i3d"), RECIPES["small"], nonlocal_blocks="mixed_4b")
    )
    assert result.evaluation is not None
    assert result.evaluation.figures["top1"] >= find_card("tiny").accuracy[0].value / 100 - 0.2
