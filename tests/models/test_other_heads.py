"""Checkpoints that were fine-tuned on other classes: bases of training as they are, models with their own labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nlvid_cli.card.card import Card, Labels
from nlvid_cli.card.manifest import find_card
from nlvid_cli.errors import CheckpointMismatch, UsageError
from nlvid_cli.models.find import find_model
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.training.model import make_trainee
from nlvid_cli.training.plan import find_base
from nlvid_cli.training.recipe import RECIPES
from tests.conftest import Run
from tests.golden.builder import read_table
from tests.training.made import motions

NAME = "nl-i3d-r50-8x8.pyslowfast-k400"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PySlowFast's non-local I3D with a head of two classes, in its container; signals keep their size."""
    rows = [row for row in read_table("pyslowfast_I3D_NLN_8x8_R50").rows if row[2] != "counter"]
    torch.manual_seed(0)
    state = {}
    for name, shape, _ in rows:
        size = (2, *shape[1:]) if name.startswith("head.") else shape
        fan_in = math.prod(size[1:])
        state[name] = torch.rand(size) + 0.5 if len(size) == 1 else torch.randn(size) / math.sqrt(fan_in)
    path = tmp_path_factory.mktemp("tuned") / "tuned.pyth"
    torch.save({"epoch": 9, "model_state": state, "optimizer_state": {"state": {}}, "cfg": "TRAIN: {}"}, path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_fine_tuned_checkpoint_of_two_classes_is_a_base(tuned: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="nlvid_cli"):
        base = find_base(str(tuned), NAME)
        again = find_base(str(tuned), NAME)  # from the cache
    assert [record.message for record in caplog.records] == 2 * [
        f"tuned.pyth, read as {NAME}; its head of 2 classes is left out, and training gives it a new one"
    ]
    assert base.card == again.card
    trainee = make_trainee(base, ("fight", "no fight"), "single", RECIPES["finetune"], None, seed=1)
    assert trainee.fresh == {"head.classifier.weight", "head.classifier.bias"}
    state = trainee.network.state_dict()
    assert state["head.classifier.weight"].shape[0] == 2
    given = torch.load(tuned, weights_only=True)["model_state"]
    assert torch.equal(state["stem.conv.weight"], given["s1.pathway0_stem.conv.weight"])
    theta = "pathway0_nonlocal1.conv_theta.weight"
    assert torch.equal(state["res3.1.nonlocal_block.theta.weight"], given[f"s3.{theta}"])


def test_it_is_trained(tuned: Path, tmp_path: Path, run: Run) -> None:
    motions(tmp_path / "videos", 2)
    small = ("--frames", 8, "--step", 1, "--crop", 32, "--epochs", 1, "--recipe", "finetune", "--freeze", "res5")
    line = ("train", tmp_path / "videos", "--base", tuned, "--as", NAME, *small, "--device", "cpu", "--no-check")
    outcome = run(*line, "--val-fraction", 0, "--workers", 0, "-o", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    assert "its head of 2 classes is left out" in outcome.err
    card, _ = open_checkpoint(tmp_path / "run" / "model.safetensors")
    assert card.labels.names == ("to the left", "to the right")


def test_the_head_of_the_same_classes_is_kept(tmp_path: Path, tuned: Path) -> None:
    content = torch.load(tuned, weights_only=True)
    for name in ("head.projection.weight", "head.projection.bias"):
        content["model_state"][name] = (
            content["model_state"][name][:1].expand(400, *[-1] * (content["model_state"][name].ndim - 1)).clone()
        )
    torch.save(content, tmp_path / "k400.pyth")
    base = find_base(str(tmp_path / "k400.pyth"), NAME)
    assert base.card.labels == find_card(NAME).labels
    assert base.tensors is not None
    assert base.tensors["head.classifier.bias"].shape == (400,)


def test_a_head_of_several_layers_or_none_is_left_out(
    tmp_path: Path, tuned: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = torch.load(tuned, weights_only=True)
    state = {name: tensor for name, tensor in content["model_state"].items() if not name.startswith("head.")}
    torch.save(state | {"head.0.weight": torch.ones(8, 2048), "head.2.weight": torch.ones(2, 8)}, tmp_path / "odd.pth")
    torch.save(state, tmp_path / "none.pth")
    for name in ("odd.pth", "none.pth"):
        with caplog.at_level("INFO", logger="nlvid_cli"):
            base = find_base(str(tmp_path / name), NAME)
        assert "no head of one layer" in caplog.records[-1].message
        assert base.tensors is not None
        assert len(base.tensors) == len(state) + 2


def test_a_base_of_another_network_is_still_refused(tuned: Path) -> None:
    with pytest.raises(CheckpointMismatch, match=rf"they fit --as {NAME}"):
        find_base(str(tuned), "i3d-r50-8x8.pyslowfast-k400")


def test_a_base_that_looks_like_a_model_names_the_network(tuned: Path) -> None:
    with pytest.raises(UsageError, match=rf"its tensors fit {NAME}"):
        find_base(str(tuned))


def test_as_a_model_it_needs_labels(tuned: Path, tmp_path: Path) -> None:
    find_base(str(tuned), NAME)  # what a base left in the cache is no model
    with pytest.raises(CheckpointMismatch, match=r"head has 2 classes, and the labels are 400; .*--labels"):
        find_model(str(tuned), NAME)


@pytest.mark.parametrize("text", ["fight\nno fight\n", "0 fight\n1 no fight\n", "1 fight\n2 no fight\n"])
def test_labels_of_ones_own(text: str, tuned: Path, tmp_path: Path, run: Run) -> None:
    labels, out = tmp_path / "classes.txt", tmp_path / "ours.safetensors"
    labels.write_text(text)
    outcome = run("models", "convert", tuned, "--as", NAME, "--labels", labels, "-o", out)
    assert (outcome.status, outcome.out) == (0, f"{out}\n"), outcome.err
    card, tensors = open_checkpoint(out)
    assert card.labels == Labels("single", 2, names=("fight", "no fight"))
    assert card.architecture == find_card(NAME).architecture
    given = torch.load(tuned, weights_only=True)["model_state"]["head.projection.weight"]
    np.testing.assert_array_equal(tensors["head.classifier.weight"].reshape(2, -1), given)
    assert run("models", "labels", out).out.splitlines()[-1].endswith("no fight")


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("fight\nno fight\nother\n", 3, "head has 2 classes, and the labels are 3"),
        ("0 fight\n5 no fight\n", 2, "not numbered"),
        ("", 2, "not numbered"),
        ("fight\nfight\n", 2, "twice"),
        (None, 2, "classes.txt"),
    ],
)
def test_labels_that_do_not_fit(
    text: str | None, status: int, words: str, tuned: Path, tmp_path: Path, run: Run
) -> None:
    labels, out = tmp_path / "classes.txt", tmp_path / "ours.safetensors"
    if text is not None:
        labels.write_text(text)
    outcome = run("models", "convert", tuned, "--as", NAME, "--labels", labels, "-o", out)
    assert (outcome.status, outcome.out) == (status, "")
    assert words in outcome.err
    assert not out.exists()


def test_the_kind_of_a_models_labels_stays(
    make_card: Callable[..., Card], small_tensors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """A base for several labels has no softmax, whatever became of its head."""
    from nlvid_cli.models.convert import convert

    card = make_card()
    card = replace(card, labels=replace(card.labels, kind="multi", count=9, names=tuple("abcdefghi")))
    torch.save({name: torch.from_numpy(array) for name, array in small_tensors.items()}, tmp_path / "x.pth")
    convert(tmp_path / "x.pth", card, tmp_path / "x.safetensors", any_head=True)
    labels = open_checkpoint(tmp_path / "x.safetensors")[0].labels
    assert (labels.kind, labels.count) == ("multi", 1)
