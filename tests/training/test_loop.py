"""Runs in one process: what they learn, what they leave alone, and what they survive."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import nlvid_cli
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.split import Split
from nlvid_cli.errors import NumericalError, OutputError, UnreadableVideo, UsageError, WorkerError
from nlvid_cli.evaluation.evaluate import evaluate
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.training import frame_cache, loop
from nlvid_cli.training.cross_validation import summarise_folds
from nlvid_cli.training.folder import load_state, only_run_in
from nlvid_cli.training.loader import ClipBatch, ClipLoader
from nlvid_cli.training.model import Base, make_trainee, tensors_of
from nlvid_cli.training.observer import EpochRow, Silent, StepRow
from nlvid_cli.training.plan import Machine
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.records import read_rows
from nlvid_cli.training.run import TrainingResult
from nlvid_cli.video.segment import Stretch
from tests.training.made import QUICK, TINY, train

FEW = replace(QUICK, batch=4)
"""Recipe for four videos."""


def same(data: DataSet) -> Split:
    """Validate on the training videos."""
    return Split(data, data, "same")


def alone(data: DataSet) -> Split:
    """Do not validate."""
    return Split(data, replace(data, videos=()), "all")


@pytest.fixture(scope="session")
def few(two_motions: DataSet) -> DataSet:
    """Four videos, one step of :data:`FEW`."""
    return replace(two_motions, videos=two_motions.videos[:2] + two_motions.videos[8:10])


@pytest.fixture(scope="module")
def learnt(two_motions: DataSet, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    torch.set_num_threads(1)
    recipe = replace(QUICK, validate_every=15)
    return train(same(two_motions), tmp_path_factory.mktemp("learnt") / "run", TINY, recipe)


def test_motions_are_learnt(learnt: TrainingResult, two_motions: DataSet) -> None:
    assert learnt.evaluation is not None
    assert learnt.evaluation.figures["top1"] == 1.0
    model = nlvid_cli.load(learnt.model, device="cpu")
    best = [model.classify(video.path).predictions[0].label for video in two_motions.videos]
    assert best == ["to the left"] * 8 + ["to the right"] * 8


def test_evaluation_gives_the_numbers_of_the_validation(learnt: TrainingResult, two_motions: DataSet) -> None:
    again = evaluate(two_motions, nlvid_cli.load(learnt.model, device="cpu"))
    assert learnt.evaluation is not None
    assert again.figures == learnt.evaluation.figures
    for one, other in zip(again.videos, learnt.evaluation.videos, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    assert [row["figures"] for row in read_rows(learnt.folder) if row["type"] == "epoch"][-1] == again.figures


def test_the_card_says_what_was_done(learnt: TrainingResult) -> None:
    card, _ = open_checkpoint(learnt.model)
    assert card.labels.names == ("to the left", "to the right")
    assert card.name == "run"
    assert card.accuracy[0].value == 100.0
    assert card.accuracy[0].measured_by == "nlvid train"
    assert card.accuracy[0].protocol == "2 clips x 1 crop; these videos chose the epoch"
    assert "16 videos of 2 classes" in card.summary


def test_the_folder_of_a_run(learnt: TrainingResult) -> None:
    names = {path.name for path in learnt.folder.iterdir()}
    names.discard(".state.pt.lock")
    assert names == {"model.safetensors", "state.pt", "recipe.json", "metrics.jsonl", "tensorboard"}
    facts = json.loads((learnt.folder / "recipe.json").read_text())
    assert facts["recipe"]["epochs"] == 30
    assert facts["recipe"]["flip"] is False  # the classes tell left from right
    assert any((learnt.folder / "tensorboard").iterdir())
    rows = read_rows(learnt.folder)
    assert [row["step"] for row in rows if row["type"] == "step"] == list(range(1, 61))
    assert all(0 <= row["data_wait"] <= 1 for row in rows if row["type"] == "step")


def test_several_labels_are_learnt(several_labels: DataSet, tmp_path: Path) -> None:
    recipe = replace(QUICK, validate_every=30)
    result = train(same(several_labels), tmp_path / "run", TINY, recipe)
    assert result.evaluation is not None
    assert result.evaluation.figures["mAP"] == 1.0
    assert result.card.labels.kind == "multi"
    assert result.card.labels.combination == "maximum"


def test_unlabelled_validation_videos_give_no_figure(several_labels: DataSet, tmp_path: Path) -> None:
    """The mean over no class is NaN, which neither chooses an epoch nor goes into a file."""
    videos = several_labels.videos[:4]
    unlabelled = tuple(replace(video, labels=()) for video in videos[:2])
    split = Split(replace(several_labels, videos=videos), replace(several_labels, videos=unlabelled), "made")
    watcher = Watcher()
    result = train(split, tmp_path / "run", TINY, replace(FEW, epochs=2), observer=watcher)
    assert open_checkpoint(result.model)[0].accuracy == ()
    assert [(row.figures, row.best) for row in watcher.epochs] == [({}, True)] * 2  # each is kept, so the last one is
    assert "no validation video has a label" in watcher.notes[0]
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    summary = summarise_folds([result, result], tmp_path)
    assert "no figures" in summary
    assert json.loads((tmp_path / "folds.json").read_text())["runs"][0]["figures"] == {"mAP": None}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Random weights in the place of trained ones, with statistics that differ from those of new layers."""
    trainee = make_trainee(TINY, ("one", "two", "three"), "single", QUICK, None, seed=3)
    for name, tensor in trainee.network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(len(name)))
    return Base(trainee.card, tensors_of(trainee.network.state_dict()))


def _few_steps(base: Base, data: DataSet, output: Path, **changes: object) -> dict[str, np.ndarray]:
    recipe = replace(FEW, epochs=2, **changes)  # type: ignore[arg-type]
    return open_checkpoint(train(alone(data), output, base, recipe).model)[1]


def test_frozen_norm_is_not_changed(base: Base, few: DataSet, tmp_path: Path) -> None:
    assert base.tensors is not None
    after = _few_steps(base, few, tmp_path / "frozen", freeze_norm=True)
    norms = [name for name in after if ".norm." in name]
    assert {name.rpartition(".")[2] for name in norms} == {"weight", "bias", "running_mean", "running_var"}
    for name in norms:
        np.testing.assert_array_equal(after[name], base.tensors[name], err_msg=name)
    assert not np.array_equal(after["res3.0.conv1.conv.weight"], base.tensors["res3.0.conv1.conv.weight"])
    trained = _few_steps(base, few, tmp_path / "trained")
    assert not any(np.array_equal(trained[name], base.tensors[name]) for name in norms)


def test_frozen_stages_are_not_changed(base: Base, few: DataSet, tmp_path: Path) -> None:
    assert base.tensors is not None
    after = _few_steps(base, few, tmp_path / "run", freeze="res3", weight_decay=0.1)
    frozen = {name for name in after if name.startswith(("stem", "res2", "res3"))}
    for name in after.keys() & base.tensors.keys():
        if not name.startswith("head."):
            assert np.array_equal(after[name], base.tensors[name]) == (name in frozen), name


def test_bad_videos_are_replaced_and_listed(two_motions: DataSet, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos = (
        LabelledVideo(broken, (0,), "made"),
        LabelledVideo(tmp_path / "missing.mp4", (1,), "made"),
        LabelledVideo(two_motions.videos[0].path, (0,), "made", stretch=Stretch(100.0)),
    )
    data = replace(two_motions, videos=two_motions.videos + videos)
    recipe = replace(QUICK, epochs=2)
    results = []
    for name, memory_mib in (("cached", 64), ("decoded", 0)):
        result = train(alone(data), tmp_path / name, TINY, recipe, machine=Machine("cpu", 0, memory_mib=memory_mib))
        assert set(result.bad) == {str(video.path) for video in videos}
        assert "no frame in" in result.bad[str(two_motions.videos[0].path)]
        results.append([row["loss"] for row in read_rows(tmp_path / name) if row["type"] == "step"])
    assert results[0] == results[1]  # a cache of frames changes nothing


def test_videos_are_decoded_again_if_the_disk_has_no_room_for_a_cache(
    few: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    watcher = Watcher()
    recipe = replace(FEW, epochs=2)
    train(alone(few), tmp_path / "run", TINY, recipe, machine=Machine("cpu", 0), observer=watcher)
    assert any("no room to cache decoded videos (No space left on device)" in note for note in watcher.notes)
    assert len(watcher.steps) == 2


def test_worker_processes_change_nothing(few: DataSet, tmp_path: Path) -> None:
    recipe = replace(FEW, epochs=3)
    losses = []
    for workers in (0, 2):
        output = tmp_path / str(workers)
        train(alone(few), output, TINY, recipe, machine=Machine("cpu", workers, memory_mib=0))
        losses.append([row["loss"] for row in read_rows(output) if row["type"] == "step"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_only_bad_videos_are_an_error(workers: int, two_motions: DataSet, tmp_path: Path) -> None:
    videos = tuple(replace(video, path=tmp_path / "missing.mp4") for video in two_motions.videos)
    data, machine = alone(replace(two_motions, videos=videos)), Machine("cpu", workers)
    with pytest.raises(UnreadableVideo, match=r"^50 training videos .*\Z"):
        train(data, tmp_path / "run", TINY, QUICK, machine=machine)


class Watcher(Silent):
    """Keeps what it receives, and raises a signal at a step."""

    def __init__(self, at_step: int = 0) -> None:
        self.at_step = at_step
        self.steps: list[StepRow] = []
        self.epochs: list[EpochRow] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, row: StepRow) -> None:
        self.steps.append(row)
        if row.step == self.at_step:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, row: EpochRow) -> None:
        self.epochs.append(row)


def test_ctrl_c_finishes_the_step_and_saves(two_motions: DataSet, tmp_path: Path) -> None:
    assert threading.current_thread() is threading.main_thread()
    recipe, watcher = replace(QUICK, epochs=3), Watcher(at_step=2)
    with pytest.raises(KeyboardInterrupt):
        train(alone(two_motions), tmp_path / "run", TINY, recipe, observer=watcher)
    assert load_state(tmp_path / "run").step == 3  # the signal came after step 2; step 3 is finished first
    assert watcher.notes[-1] == "stopped at step 3 of 6; continue with --resume"
    resumed = Watcher()
    train(alone(two_motions), tmp_path / "run", TINY, recipe, resume=True, observer=resumed)
    assert [row.step for row in resumed.steps] == [4, 5, 6]


def test_sigterm_before_the_first_step_leaves_no_decoded_videos(
    two_motions: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_cache, "_write_index", lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        train(alone(two_motions), tmp_path / "run", TINY, QUICK)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"recipe.json", ".state.pt.lock"}


def test_an_interrupt_that_kills_the_workers_still_saves(
    two_motions: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, following = Watcher(at_step=2), ClipLoader.__next__

    def lost(loader: ClipLoader) -> ClipBatch:
        if len(watcher.steps) == 2:
            raise WorkerError("a process has ended")
        return following(loader)

    monkeypatch.setattr(ClipLoader, "__next__", lost)
    with pytest.raises(KeyboardInterrupt):
        train(alone(two_motions), tmp_path / "run", TINY, QUICK, observer=watcher)
    assert load_state(tmp_path / "run").step == 2
    watcher.steps, watcher.at_step = [], 0
    with pytest.raises(WorkerError):  # an error if nobody has interrupted the run
        train(alone(two_motions), tmp_path / "other", TINY, QUICK, observer=watcher)


def test_sigterm_ends_a_run_whose_decoder_hangs(
    two_motions: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "tests.recognize.pipeline.odd_decoder")
    monkeypatch.setattr("nlvid_cli.training.loader.PATIENCE_SECONDS", 0.1)
    first = two_motions.videos[0]
    hanging = replace(first, path=Path(shutil.copy(first.path, tmp_path / "hang.mp4")))
    data = replace(two_motions, videos=(hanging,))
    alarm = threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGTERM))
    alarm.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train(alone(data), tmp_path / "run", TINY, replace(FEW, batch=2), machine=Machine("cpu", 1, memory_mib=0))
    alarm.join()
    assert time.monotonic() - began < 60  # the decoder may take 300 s
    assert load_state(tmp_path / "run").step == 0


def _script_validations(monkeypatch: pytest.MonkeyPatch, *figures: float) -> None:
    """Let the validations during a run find these figures, without a look at the videos."""
    following = iter(figures)
    monkeypatch.setattr(loop, "validate", lambda *_: SimpleNamespace(figures={"top1": next(following)}))


def test_training_stops_when_nothing_gets_better(few: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script_validations(monkeypatch, 0.5, 0.75, 0.5, 0.75)
    recipe, watcher = replace(FEW, epochs=20, early_stop=2), Watcher()
    result = train(same(few), tmp_path / "run", TINY, recipe, observer=watcher)
    assert result.epochs == 4
    assert [row.best for row in watcher.epochs] == [True, True, False, True]  # the later one of equals
    assert any(note.startswith("stopped early, after epoch 4 of 20: no gain since epoch 2;") for note in watcher.notes)
    again = train(same(few), tmp_path / "run", TINY, recipe, resume=True)
    assert again.epochs == 4


def test_patience_ends_at_validations_only(few: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script_validations(monkeypatch, 0.5, 0.5)
    recipe, watcher = replace(FEW, epochs=8, early_stop=1, validate_every=3), Watcher()
    train(same(few), tmp_path / "run", TINY, recipe, observer=watcher)
    assert [row.epoch for row in watcher.epochs] == [3, 6]
    assert watcher.steps[-1].step == 6


def test_a_loss_that_is_nan_ends_the_run(two_motions: DataSet, tmp_path: Path) -> None:
    with pytest.raises(NumericalError, match="learning rate"):
        train(alone(two_motions), tmp_path / "run", TINY, replace(QUICK, learning_rate=1e20))


def test_a_folder_is_not_overwritten(two_motions: DataSet, tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1)
    train(alone(two_motions), tmp_path / "run", TINY, recipe)
    with pytest.raises(UsageError, match="run"):
        train(alone(two_motions), tmp_path / "run", TINY, recipe)
    with pytest.raises(UsageError, match=r"batch \(8, now 4\)"):
        train(alone(two_motions), tmp_path / "run", TINY, replace(recipe, batch=4), resume=True)


def test_a_finished_run_goes_on_for_more_epochs(few: DataSet, tmp_path: Path) -> None:
    recipe, output = replace(FEW, epochs=2), tmp_path / "run"
    train(alone(few), output, TINY, recipe)
    watcher = Watcher()
    result = train(alone(few), output, TINY, replace(recipe, epochs=4), resume=True, observer=watcher)
    assert result.epochs == 4
    assert [row["step"] for row in read_rows(output) if row["type"] == "step"] == [1, 2, 3, 4]
    assert [row.learning_rate for row in watcher.steps] == [
        replace(recipe, epochs=4).learning_rate_at(n, 4) for n in (2, 3)
    ]
    assert any("goes on from epoch 2 to 4" in note and "spans 4 epochs instead of 2" in note for note in watcher.notes)
    assert json.loads((output / "recipe.json").read_text())["recipe"]["epochs"] == 4
    with pytest.raises(UsageError, match=r"epochs \(4, now 3\)"):
        train(alone(few), output, TINY, replace(recipe, epochs=3), resume=True)


def test_a_folder_takes_one_run_at_a_time(few: DataSet, tmp_path: Path) -> None:
    with only_run_in(tmp_path), pytest.raises(OutputError, match="another nlvid"):
        train(alone(few), tmp_path, TINY, replace(FEW, epochs=1))
    assert not (tmp_path / "recipe.json").exists()


def test_a_run_resumes_with_the_same_videos_by_another_path(
    few: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(root: Path) -> Split:
        return alone(replace(few, videos=tuple(replace(v, path=root / v.path.relative_to(source)) for v in few.videos)))

    source, output, recipe = (
        Path(os.path.commonpath([v.path for v in few.videos])),
        tmp_path / "run",
        replace(FEW, epochs=1),
    )
    monkeypatch.chdir(source.parent)
    train(at(Path(source.name)), output, TINY, recipe)
    monkeypatch.chdir(tmp_path)
    train(at(source), output, TINY, recipe, resume=True)
    shutil.copytree(source, tmp_path / "moved")
    watcher = Watcher()
    train(at(tmp_path / "moved"), output, TINY, recipe, resume=True, observer=watcher)
    assert any(str(source) in note for note in watcher.notes)
    other = replace(few, videos=few.videos[:1] * len(few.videos))
    with pytest.raises(UsageError, match="train_videos"):
        train(alone(other), output, TINY, recipe, resume=True)


def test_a_run_that_failed_at_once_does_not_block_its_folder(two_motions: DataSet, tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1, batch=7, accumulation=2)
    with pytest.raises(UsageError, match="use --batch 8"):
        train(alone(two_motions), tmp_path / "run", TINY, recipe)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")  # a run that was killed before its first save
    train(alone(two_motions), tmp_path / "run", TINY, replace(recipe, batch=8))


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["model.safetensors", "state.pt"])
def test_files_of_others_are_not_overwritten(name: str, resume: bool, two_motions: DataSet, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(UsageError, match=name):
        train(alone(two_motions), tmp_path, TINY, QUICK, resume=resume)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir() if path.name[0] != "."] == [
        (name, b"precious")
    ]


def test_a_run_does_not_resume_with_other_labels(two_motions: DataSet, tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1)
    train(alone(two_motions), tmp_path / "run", TINY, recipe)
    first, *others = two_motions.videos
    for changed in (replace(first, labels=(1,)), replace(first, stretch=Stretch(end_seconds=0.5))):
        data = replace(two_motions, videos=(changed, *others))
        with pytest.raises(UsageError, match="labels_and_stretches"):
            train(alone(data), tmp_path / "run", TINY, recipe, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "softmax"}, "softmax"),
        ({"freeze": "res33"}, "did you mean 'res3'"),
        ({"batch": 7, "accumulation": 2}, "batch"),
    ],
)
def test_contradictions_are_refused(
    changes: dict[str, object], message: str, several_labels: DataSet, tmp_path: Path
) -> None:
    recipe: Recipe = replace(QUICK, **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=message):
        train(alone(several_labels), tmp_path / "run", TINY, recipe)


def test_a_model_in_fp16_is_half_the_size_and_validated_as_it_is_stored(few: DataSet, tmp_path: Path) -> None:
    recipe = replace(FEW, epochs=2, validate_every=2)
    whole = train(alone(few), tmp_path / "fp32", TINY, recipe)
    half = train(same(few), tmp_path / "fp16", TINY, replace(recipe, store="fp16"))
    assert half.card.accuracy[0].protocol == "2 clips x 1 crop"  # the only validation chose nothing
    header = int.from_bytes(half.model.read_bytes()[:8], "little") + 8
    sizes = [result.model.stat().st_size - header for result in (half, whole)]
    assert sizes[0] == pytest.approx(sizes[1] / 2, rel=0.02)
    _, exact = open_checkpoint(whole.model)
    _, rounded = open_checkpoint(half.model)
    for name, tensor in exact.items():
        assert rounded[name].dtype == np.float32
        np.testing.assert_array_equal(rounded[name], tensor.astype(np.float16).astype(np.float32))
    again = evaluate(few, nlvid_cli.load(half.model, device="cpu"))
    assert half.evaluation is not None
    for one, other in zip(again.videos, half.evaluation.videos, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
