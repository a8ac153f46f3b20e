"""The road of the paper: ImageNet weights, Kinetics with 32 frames, then with 128, then Charades; small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nlvid_cli.models.model_file import open_checkpoint
from tests.conftest import Run
from tests.models.test_inflate import image_network
from tests.training.made import colours_and_motions, motions


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def image_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "resnet50.pth"
    state = image_network(50).state_dict()
    for name, tensor in state.items():
        if name.endswith("bn3.weight"):
            tensor.fill_(0.1)  # so that signals keep their size with frozen statistics, which no training has fitted
    torch.save(state, path)
    return path


SMALL = (
    "--device",
    "cpu",
    "--no-check",
    "--workers",
    0,
    "--epochs",
    1,
    "--crop",
    32,
    "--val-fraction",
    0,
    "--lr",
    0.0001,
)


def test_the_first_epoch_from_an_imagenet_network(run: Run, image_file: Path, tmp_path: Path) -> None:
    motions(tmp_path / "videos", 2)
    line = ("train", tmp_path / "videos", "--base", f"imagenet:{image_file}", "--recipe", "paper-32", "--nonlocal", "5")
    outcome = run(*line, *SMALL, "--frames", 8, "--batch", 4, "-o", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    assert "note: resnet50.pth, inflated to an I3D ResNet-50" in outcome.err
    assert "epoch 1: loss " in outcome.err
    card, tensors = open_checkpoint(tmp_path / "run" / "model.safetensors")
    assert card.labels.names == ("to the left", "to the right")
    assert tensors["stem.conv.weight"].shape == (64, 3, 5, 7, 7)
    assert "res4.5.nonlocal_block.theta.weight" in tensors
    assert "from i3d-r50-32x2.resnet50" in card.origin


@pytest.mark.slow
def test_the_whole_road(run: Run, image_file: Path, tmp_path: Path) -> None:
    motions(tmp_path / "kinetics", 2)
    data = colours_and_motions(tmp_path / "charades", 1)
    rows = [
        json.dumps({"path": str(video.path), "labels": [data.classes[label] for label in video.labels]})
        for video in data.videos
    ]
    (tmp_path / "charades.jsonl").write_text("\n".join(rows) + "\n")
    stages = (
        ("paper-32", "kinetics", f"imagenet:{image_file}", ("--nonlocal", "5", "--frames", 8)),
        ("paper-128", "kinetics", tmp_path / "paper-32" / "model.safetensors", ("--frames", 16)),
        ("charades", "charades.jsonl", tmp_path / "paper-128" / "model.safetensors", ("--frames", 16)),
    )
    for recipe, videos, base, changes in stages:
        line = ("train", tmp_path / videos, "--base", base, "--recipe", recipe, *changes)
        outcome = run(*line, *SMALL, "--batch", 4, "-o", tmp_path / recipe)
        assert outcome.status == 0, outcome.err
        assert f"recipe {recipe}" in outcome.err
    card, tensors = open_checkpoint(tmp_path / "charades" / "model.safetensors")
    assert (card.labels.kind, card.labels.count) == ("multi", 3)
    assert (card.architecture.head.scores, card.sampling.frames) == ("mean_of_sigmoid", 16)
    assert "res4.5.nonlocal_block.theta.weight" in tensors
    classified = run("classify", data.videos[0].path, "--model", tmp_path / "charades" / "model.safetensors")
    assert classified.status == 0, classified.err
