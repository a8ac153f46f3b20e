"""One run, from a split data set to a trained model file: :func:`train_split`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate import Accelerator

from nlvid_cli._version import __version__
from nlvid_cli.card.card import Accuracy, Card
from nlvid_cli.datasets.labelled import DataSet, Kind
from nlvid_cli.datasets.split import Split
from nlvid_cli.errors import UsageError, shortened
from nlvid_cli.evaluation.evaluate import Evaluation
from nlvid_cli.models.model_file import in_fp16, open_checkpoint, replace_card, write_checkpoint
from nlvid_cli.recognize.pipeline.readers import Readers
from nlvid_cli.system.interrupts import sigterm_as_ctrl_c
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.training.accelerator import make_accelerator
from nlvid_cli.training.augment import sided_classes
from nlvid_cli.training.clips import ClipDataset, decoded_side
from nlvid_cli.training.division import Division
from nlvid_cli.training.figures import FIGURES, known_figures, validate
from nlvid_cli.training.folder import (
    MODEL_FILE,
    STATE_FILE,
    Earlier,
    load_state,
    only_run_in,
    prepare_folder,
    run_identity,
    writing,
)
from nlvid_cli.training.frame_cache import FrameCache, cache_frames, open_cached_frames
from nlvid_cli.training.head import FittedHead, start_head
from nlvid_cli.training.loop import Loop
from nlvid_cli.training.model import Trainee, make_trainee, tensors_of
from nlvid_cli.training.observer import EpochRow, Observer, Silent
from nlvid_cli.training.plan import Machine, TrainingPlan
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.records import Records
from nlvid_cli.training.small_maps import make_safe


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The outcome of a run.

    Attributes:
        folder: Folder of the run.
        model: Path to the model file.
        card: Card of the model.
        recipe: Recipe as it was followed.
        evaluation: Figures of the model on the validation videos; None if there were no such videos.
        epochs: Number of epochs trained.
        bad: Training videos that could not be used and were replaced: path and error message.
    """

    folder: Path
    model: Path
    card: Card
    recipe: Recipe
    evaluation: Evaluation | None
    epochs: int
    bad: Mapping[str, str]


@sigterm_as_ctrl_c()
def train_split(split: Split, folder: Path, plan: TrainingPlan, observer: Observer | None = None) -> TrainingResult:
    """Train a network. Every process of a distributed run calls this with the same arguments.

    Args:
        split: Videos to train on, and videos that choose the best epoch. Without the latter, the last epoch is kept.
        folder: Folder of the run. It must not hold another run.
        plan: How to train.
        observer: Receives steps, epochs, and notes.

    Raises:
        UsageError: The videos, the recipe, and the network do not fit together, or the folder holds another run.
        KeyboardInterrupt: After Ctrl-C, once the state is saved.
    """
    label_kind = _label_kind(split.train, plan.recipe)
    accelerator = make_accelerator(plan.machine.device, plan.recipe)
    observer = observer if observer is not None and accelerator.is_main_process else Silent()
    plan = _without_flip_if_sided(plan, split.train, observer)
    validation = _validation_videos(split, observer)
    trainee = make_trainee(plan.base, split.train.classes, label_kind, plan.recipe, plan.nonlocal_blocks, plan.seed)
    trainee = replace(trainee, card=_described(trainee.card, plan, split.train, folder))
    if accelerator.device.type == "cpu":
        make_safe(trainee.network)
    division = Division(
        videos=len(split.train.videos),
        epochs=plan.recipe.epochs,
        batch=plan.recipe.batch,
        accumulation=plan.recipe.accumulation,
        ranks=accelerator.num_processes,
        rank=accelerator.process_index,
        seed=plan.seed,
    )
    with only_run_in(folder) if accelerator.is_main_process else nullcontext():
        earlier = None
        if accelerator.is_main_process:
            earlier = prepare_folder(folder, run_identity(plan, split, label_kind), plan.resume)
        accelerator.wait_for_everyone()
        saved = load_state(folder) if plan.resume and (folder / STATE_FILE).is_file() else None
        if saved is None and plan.fits_head(trainee):
            fitted = start_head(trainee, split.train, plan, accelerator, folder, observer)
            if trainee.trains_only_head:
                return _fitted(folder, validation, split.train, trainee, fitted, plan, accelerator, observer)
        cache = _frame_cache(split.train, trainee.card, plan, folder, accelerator, observer)
        workers = _worker_count(plan.machine, accelerator, cache)
        try:
            with Readers(trainee.card, workers, plan.machine.limits) as readers:
                clips = ClipDataset(split.train, trainee.card, plan.recipe, plan.seed, cache, readers)
                loop = Loop(trainee, plan, clips, validation, division, accelerator, folder, observer)
                if saved is not None:
                    loop.resume(saved)
                    _tell_of_earlier(earlier, loop)
                loop.run(workers)
        finally:
            cache.close()
            observer.close()
        accelerator.wait_for_everyone()
        epochs = loop.state.step // division.steps_per_epoch
        bad = dict(loop.state.bad)
        return _result(folder, validation, split.train, plan.recipe, epochs, bad, accelerator, observer)


def _tell_of_earlier(earlier: Earlier | None, loop: Loop) -> None:
    """Tell what is different in a run that is continued."""
    if earlier is None:
        return
    if earlier.moved_from is not None:
        loop.observer.note(
            f"the videos are where they were not before ({earlier.moved_from} was the first); their names and labels "
            "are the same"
        )
    recipe, division, step = loop.recipe, loop.division, loop.state.step
    if recipe.epochs > earlier.epochs and step:
        last = recipe.learning_rate_at(step - 1, earlier.epochs * division.steps_per_epoch)
        loop.observer.note(
            f"the run goes on from epoch {step // division.steps_per_epoch} to {recipe.epochs}; the schedule of the "
            f"learning rate now spans {recipe.epochs} epochs instead of {earlier.epochs}: {last:.2g} in the last step, "
            f"{recipe.learning_rate_at(step, division.steps):.2g} in the next"
        )


def _fitted(
    folder: Path,
    validation: DataSet | None,
    data: DataSet,
    trainee: Trainee,
    fitted: FittedHead,
    plan: TrainingPlan,
    accelerator: Accelerator,
    observer: Observer,
) -> TrainingResult:
    """Return the result of a run whose head was fitted, and that has nothing else to train."""
    if accelerator.is_main_process:
        tensors = tensors_of(trainee.network.state_dict())
        with writing(folder / MODEL_FILE):
            stored = in_fp16(tensors) if plan.recipe.store == "fp16" else tensors
            write_checkpoint(folder / MODEL_FILE, trainee.card, stored)
    accelerator.wait_for_everyone()
    result = _result(folder, validation, data, plan.recipe, 1, fitted.bad, accelerator, observer)
    if accelerator.is_main_process:
        figures = {} if result.evaluation is None else known_figures(result.evaluation)
        row = EpochRow(1, 1, fitted.head.loss, fitted.head.accuracy, figures, best=True)
        with closing(Records(folder, 0)) as records:
            records.epoch(row)
        observer.epoch(row)
    observer.close()
    return result


def _label_kind(data: DataSet, recipe: Recipe) -> Kind:
    """Return whether the model gives one label to a video or several."""
    if not data.videos:
        raise UsageError("there is no video to train on")
    if recipe.loss == "softmax" and data.kind == "multi":
        raise UsageError(
            "the softmax loss needs one label per video, and some videos have several; use --set loss=auto"
        )
    kinds: dict[str, Kind] = {"auto": data.kind, "softmax": "single", "sigmoid": "multi"}
    return kinds[recipe.loss]


def _without_flip_if_sided(plan: TrainingPlan, data: DataSet, observer: Observer) -> TrainingPlan:
    sided = sided_classes(data.classes)
    if not plan.recipe.flip or not sided:
        return plan
    observer.note(f"clips are not mirrored, because class names tell left from right: {', '.join(sided[:3])}")
    return replace(plan, recipe=replace(plan.recipe, flip=False))


def _validation_videos(split: Split, observer: Observer) -> DataSet | None:
    if not split.val.videos:
        return None
    if not any(video.labels for video in split.val.videos):
        observer.note("no validation video has a label, so no epoch can be the best; the last one is kept")
    return split.val


def _described(card: Card, plan: TrainingPlan, data: DataSet, folder: Path) -> Card:
    """Give the card the name of the folder and texts of its own."""
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name).strip("-.")[:100] or "model"
    base = plan.base
    start = "trained from random weights" if base.tensors is None else f"{base.card.name}, fine-tuned"
    return replace(
        card,
        name=name,
        aliases=(),
        summary=f"{start} on {len(data.videos)} videos of {len(data.classes)} classes",
        origin=f"nlvid train {__version__}, from {base.card.name}",
        format="safetensors",
        sources=(),
        accuracy=(),
    )


def _frame_cache(
    data: DataSet, card: Card, plan: TrainingPlan, folder: Path, accelerator: Accelerator, observer: Observer
) -> FrameCache:
    """Decode the videos now if all fit in the cache; one process on each machine does it for the others."""
    side = decoded_side(card, plan.recipe)
    budget_bytes = plan.machine.memory_mib * 2**20

    cache = FrameCache()
    if accelerator.is_local_main_process:
        try:
            with Readers(card, plan.machine.reader_count, plan.machine.limits) as readers:
                cache = cache_frames(data, card, side, folder, budget_bytes, readers)
        except OSError as error:
            observer.note(
                f"{folder}: no room to cache decoded videos ({error.strerror}); each epoch decodes them again"
            )
    accelerator.wait_for_everyone()
    return cache if accelerator.is_local_main_process else open_cached_frames(data, folder)


def _worker_count(machine: Machine, accelerator: Accelerator, cache: FrameCache) -> int:
    if machine.workers is not None:
        return machine.workers
    if accelerator.device.type == "cpu" and cache.path is not None:
        return 0  # cached clips are ready so fast that a process for them would only take a core from the network
    return max(1, min(16, usable_processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _result(
    folder: Path,
    validation: DataSet | None,
    data: DataSet,
    recipe: Recipe,
    epochs: int,
    bad: Mapping[str, str],
    accelerator: Accelerator,
    observer: Observer,
) -> TrainingResult:
    """Evaluate the model as it is in its file, and write its accuracy into its card."""
    path = folder / MODEL_FILE
    card, tensors = open_checkpoint(path)
    evaluation = None
    if validation is not None:
        evaluation = validate(card, tensors, validation, accelerator)
        card = replace(card, accuracy=_accuracy(evaluation, data, recipe, epochs))
        _note_classes(evaluation, observer)
        if not card.accuracy:
            observer.note("the accuracy of the model is unknown, because no validation video with a label was usable")
        if accelerator.is_main_process:
            with writing(path):
                replace_card(path, card)
    return TrainingResult(folder, path, card, recipe, evaluation, epochs, bad)


def _note_classes(evaluation: Evaluation, observer: Observer) -> None:
    """Tell which classes the model never names, though validation videos show them."""
    if evaluation.confusion is None:
        return
    shown, named = evaluation.confusion.sum(axis=1), evaluation.confusion.sum(axis=0)
    never = [label for label, there, said in zip(evaluation.labels, shown, named, strict=True) if there and not said]
    if never:
        observer.note(
            f"no validation video is taken for {shortened(never, 5)}, though some show that; more videos may help"
        )


def _accuracy(evaluation: Evaluation, data: DataSet, recipe: Recipe, epochs: int) -> tuple[Accuracy, ...]:
    """Return the accuracy for the card; none if no video had a label."""
    metric = FIGURES[evaluation.label_kind]
    value = evaluation.figures[metric]
    if math.isnan(value):
        return ()
    clips, crops = evaluation.views.clips, evaluation.views.crops
    chose = "; these videos chose the epoch" if epochs > recipe.validate_every else ""
    accuracy = Accuracy(
        data_set=f"{len(evaluation.videos)} validation videos, {len(data.classes)} classes",
        metric={"top1": "top-1"}.get(metric, metric),
        value=round(100 * value, 2),
        protocol=f"{clips} clips x {crops} {'crop' if crops == 1 else 'crops'}{chose}",
        measured_by="nlvid train",
    )
    return (accuracy,)
