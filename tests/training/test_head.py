"""Heads that start from a linear classifier, and runs that train nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import nlvid_cli
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.split import Split
from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.training import head
from nlvid_cli.training.accelerator import make_accelerator
from nlvid_cli.training.features import VideoFeatures, features_of
from nlvid_cli.training.model import Base, make_trainee
from nlvid_cli.training.observer import EpochRow, Silent, StepRow
from nlvid_cli.training.plan import Machine, choose_recipe
from nlvid_cli.training.recipe import RECIPES
from nlvid_cli.training.records import read_rows
from tests.training.made import QUICK, TINY
from tests.training.made import train as train_on

FROZEN = replace(RECIPES["probe"], precision="fp32")

train = partial(train_on, machine=Machine("cpu", workers=0))


class Watcher(Silent):
    """Keeps what a run reports."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[StepRow] = []
        self.epochs: list[EpochRow] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, row: StepRow) -> None:
        self.steps.append(row)

    def epoch(self, row: EpochRow) -> None:
        self.epochs.append(row)


@pytest.fixture(scope="module")
def base(two_motions: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A network that knows the motions."""
    torch.set_num_threads(1)
    split = Split(two_motions, replace(two_motions, videos=()), "all")
    result = train(split, tmp_path_factory.mktemp("base") / "run", TINY, QUICK)
    return Base(*open_checkpoint(result.model))


@pytest.fixture(scope="module")
def renamed(two_motions: DataSet) -> Split:
    """The motions under other names, so that the head of the base does not fit; some of them to validate on."""
    data = replace(two_motions, classes=("away", "near"))
    train_videos = data.videos[:5] + data.videos[8:13]
    val_videos = data.videos[5:8] + data.videos[13:]
    return Split(replace(data, videos=train_videos), replace(data, videos=val_videos), "made")


def test_a_frozen_base_is_looked_at_once(base: Base, renamed: Split, tmp_path: Path) -> None:
    watcher = Watcher()
    result = train(renamed, tmp_path / "run", base, FROZEN, observer=watcher)
    assert result.evaluation is not None
    assert result.evaluation.figures["top1"] == 1.0
    assert watcher.steps == []
    assert any("in a mirror" in note for note in watcher.notes)
    (epoch,) = watcher.epochs
    assert epoch.train_loss < np.log(2)
    assert epoch.figures == result.evaluation.figures
    assert [row["type"] for row in read_rows(tmp_path / "run")] == ["epoch"]
    assert result.card.accuracy[0].protocol == "2 clips x 1 crop"
    card, tensors = open_checkpoint(result.model)
    assert card.labels.names == ("away", "near")
    assert base.tensors is not None
    for name, values in base.tensors.items():
        if not name.startswith("head."):
            assert np.array_equal(values, tensors[name]), name
    model = nlvid_cli.load(result.model, device="cpu")
    best = [model.classify(video.path).predictions[0].label for video in renamed.val.videos]
    assert best == ["away"] * 3 + ["near"] * 3


def test_one_clip_in_four_is_mirrored(base: Base, renamed: Split) -> None:
    trainee = make_trainee(base, renamed.train.classes, "single", FROZEN, None, 0)
    accelerator = make_accelerator("cpu", FROZEN)

    def look(mirror: bool) -> np.ndarray:
        results = features_of(trainee, renamed.train, 4, accelerator, limits=Limits(workers=0), mirror=mirror)
        return np.stack([result.features for result in results if isinstance(result, VideoFeatures)])

    plain, mirrored = look(False), look(True)
    seen = [np.allclose(plain[:, view], mirrored[:, view], atol=1e-5) for view in range(4)]
    assert seen == [True, False, True, True]


def test_resume_does_not_look_again(
    base: Base, renamed: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(renamed, tmp_path / "run", base, FROZEN)
    monkeypatch.setattr(head, "features_of", None)
    again = train(renamed, tmp_path / "run", base, FROZEN, resume=True)
    assert first.evaluation is not None
    assert again.evaluation is not None
    assert again.evaluation.figures == first.evaluation.figures
    assert len(read_rows(tmp_path / "run")) == 1


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 damaged", None])
def test_damaged_features_are_computed_again(base: Base, renamed: Split, tmp_path: Path, damage: bytes | None) -> None:
    train(renamed, tmp_path / "run", base, FROZEN)
    path = tmp_path / "run" / head.FEATURES_FILE
    path.unlink() if damage is None else path.write_bytes(damage)
    result = train(renamed, tmp_path / "run", base, FROZEN, resume=True)
    assert result.evaluation is not None
    assert result.evaluation.figures["top1"] == 1.0


def test_bad_videos_are_left_out_and_told(base: Base, renamed: Split, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    videos = (*renamed.train.videos, LabelledVideo(broken, (0,), "made"))
    split = replace(renamed, train=replace(renamed.train, videos=videos))
    result = train(split, tmp_path / "run", base, FROZEN)
    assert list(result.bad) == [str(broken)]
    only_bad = replace(split, train=replace(split.train, videos=videos[-1:]))
    with pytest.raises(UnreadableVideo, match="none of the 1 training videos"):
        train(only_bad, tmp_path / "other", base, FROZEN)


def test_training_goes_on_from_the_fitted_head(base: Base, renamed: Split, tmp_path: Path) -> None:
    """From a random head, the first loss is that of guessing or more."""
    losses = {}
    for start in ("linear", "random"):
        watcher = Watcher()
        recipe = replace(QUICK, epochs=1, batch=10, flip=False, freeze_norm=True, head_start=start)  # type: ignore[arg-type]
        train(renamed, tmp_path / start, base, recipe, observer=watcher)
        losses[start] = watcher.steps[0].loss
    assert losses["linear"] < 0.3 < losses["random"]


def test_several_labels(base: Base, several_labels: DataSet, tmp_path: Path) -> None:
    split = Split(several_labels, several_labels, "same")
    result = train(split, tmp_path / "run", base, FROZEN)
    assert result.evaluation is not None
    assert result.evaluation.figures["mAP"] > 0.9
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["kind"] == "multi"


def test_freeze_all_leaves_the_head(base: Base, renamed: Split) -> None:
    trainee = make_trainee(base, ("a", "b", "c"), "single", FROZEN, None, seed=0)
    assert trainee.trains_only_head
    assert trainee.has_new_head
    trained = {name for name, own in trainee.network.named_parameters() if own.requires_grad}
    assert trained == {"head.classifier.weight", "head.classifier.bias"}
    assert not make_trainee(base, ("a", "b"), "single", RECIPES["finetune"], None, seed=0).trains_only_head


def test_only_some_videos_of_large_classes_start_a_head(two_motions: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "START_VIDEOS_PER_CLASS", 3)
    some = head._some_of_each(two_motions)
    assert [video.labels[0] for video in some] == [0] * 4 + [1] * 4
    monkeypatch.undo()
    assert head._some_of_each(two_motions) == two_motions.videos


def test_the_recipe_follows_the_data_and_the_device(two_motions: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(name: str | None = None, videos: int = 8, device: str = "cuda", **options: object) -> tuple[str, str]:
        monkeypatch.setattr("nlvid_cli.training.plan.choose_device", lambda _: torch.device(device))
        data = replace(two_motions, videos=two_motions.videos[:1] * videos + two_motions.videos[-1:] * videos)
        choice = choose_recipe(name, bool(options.get("scratch")), data, "auto", options.get("asked_for", ()))  # type: ignore[arg-type]
        return choice.recipe.name, choice.why

    assert chosen("small") == ("small", "")
    assert chosen(device="cpu", videos=100)[0] == "probe"
    assert chosen(videos=9)[0] == "probe"
    assert "9 videos" in chosen("auto", videos=9)[1]
    assert chosen(videos=10)[0] == "finetune"
    assert chosen(device="cpu", asked_for=("--nonlocal",)) == ("finetune", "--nonlocal asks for training")
    assert chosen(scratch=True)[0] == "scratch"
