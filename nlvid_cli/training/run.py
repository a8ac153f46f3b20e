"""A run from its data to its model; see :func:`train_split`."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from accelerate import Accelerator
from accelerate.state import AcceleratorState

from nlvid_cli._version import __version__
from nlvid_cli.backends.torch_backend import choose_device, choose_precision
from nlvid_cli.card.card import Accuracy, Card
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.split import Split
from nlvid_cli.errors import UsageError
from nlvid_cli.evaluation.evaluate import Evaluation
from nlvid_cli.models.find import find_default, find_model
from nlvid_cli.models.model_file import open_checkpoint, replace_card
from nlvid_cli.models.progress import Progress
from nlvid_cli.system.interrupts import sigterm_as_ctrl_c
from nlvid_cli.system.processors import limit_torch_threads, usable_processors
from nlvid_cli.training.augment import sided_classes
from nlvid_cli.training.division import Division
from nlvid_cli.training.folder import facts_of, prepare_folder
from nlvid_cli.training.loader import ClipDataset, decoded_side
from nlvid_cli.training.loop import MODEL_FILE, Loop
from nlvid_cli.training.memory import FrameMemory, remember_frames
from nlvid_cli.training.model import Base, Trainee, make_trainee
from nlvid_cli.training.observer import Observer, Silent
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.state import load_state
from nlvid_cli.training.validation import FIGURES, validate
from nlvid_cli.training.writing import STATE_FILE, writing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machine:
    """How a run is carried out; nothing of this changes what comes out, but for rounding.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        workers: processes that decode; None: as many as are likely to be of use.
        save_minutes: from one saved state to the next.
        memory_mib: decoded videos are remembered if they take no more.
    """

    device: str = "auto"
    workers: int | None = None
    save_minutes: float = 10.0
    memory_mib: int = 1024


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What came out of a run.

    Attributes:
        folder: of the run.
        model: the model file.
        card: of the model.
        recipe: as it was followed.
        evaluation: of the model on the validation videos; None where there were none.
        epochs: that were trained.
        bad: path and fault of training videos that could not be used, and were replaced.
    """

    folder: Path
    model: Path
    card: Card
    recipe: Recipe
    evaluation: Evaluation | None
    epochs: int
    bad: Mapping[str, str]


def find_base(
    name_or_path: str | PathLike[str] | None, as_name: str | None = None, progress: Progress | None = None
) -> Base:
    """The model to go on from; None: the first of the manifest's default list that can be had.

    Args:
        name_or_path: as for ``load``.
        as_name: for a file without a model card: the model whose network it has.
        progress: is told of downloads.

    Raises:
        UnknownName: there is no such model.
        ModelError: it cannot be had.
    """
    if name_or_path is None:
        card, file = find_default(progress)
    else:
        card, file = find_model(name_or_path, as_name, progress)
    return Base(card, open_checkpoint(file)[1])


@sigterm_as_ctrl_c()
def train_split(
    split: Split,
    output: Path,
    base: Base,
    recipe: Recipe,
    *,
    nonlocal_blocks: str | None = None,
    seed: int = 0,
    resume: bool = False,
    machine: Machine | None = None,
    observer: Observer | None = None,
) -> TrainingResult:
    """Train a network. In every process of a distributed run, this is called alike.

    Args:
        split: videos to learn from, and those that choose the best weights; where there are none of these, the last
            weights are taken.
        output: folder of the run; it must not hold another one.
        base: to go on from, of :func:`find_base`, or :data:`nlvid_cli.training.model.SCRATCH`.
        recipe: how.
        nonlocal_blocks: fresh ones to insert; see :func:`nlvid_cli.training.model.nonlocal_places`.
        seed: of everything that is random.
        resume: go on with the run that ``output`` holds, if it does.
        machine: how it is carried out.
        observer: is told how it goes.

    Raises:
        UsageError: the data, the recipe and the network do not go together, or the folder holds another run.
        KeyboardInterrupt: on Ctrl-C, when the state is saved.
    """
    machine, observer = machine or Machine(), observer or Silent()
    train_data, validation = split.train, split.val if split.val.videos else None
    kind = _kind(train_data, recipe)
    accelerator = _accelerator(machine.device, recipe)
    tell = observer if accelerator.is_main_process else Silent()
    recipe = _without_flip_if_sided(recipe, train_data, tell)
    if validation is not None and not any(video.labels for video in validation.videos):
        tell.note(
            "no video for validation has a label, so that there is no figure to choose an epoch by: the last is kept"
        )
    trainee = make_trainee(base, train_data.classes, kind, recipe, nonlocal_blocks, seed)
    trainee = replace(trainee, card=_told(trainee.card, base, train_data, output))
    ranks, rank = accelerator.num_processes, accelerator.process_index
    division = Division(len(train_data.videos), recipe.epochs, recipe.batch, recipe.accumulation, ranks, rank, seed)
    facts = facts_of(trainee, base, train_data, validation, recipe, nonlocal_blocks, seed)
    if accelerator.is_main_process:
        prepare_folder(output, facts, resume)
    accelerator.wait_for_everyone()
    dataset = _dataset(train_data, trainee, recipe, seed, output, machine, accelerator, tell)
    try:
        save_seconds = machine.save_minutes * 60
        loop = Loop(trainee, recipe, dataset, validation, division, accelerator, output, tell, save_seconds)
        if resume and (output / STATE_FILE).is_file():
            loop.resume(load_state(output))
        loop.run(_workers(machine, accelerator, dataset))
    finally:
        dataset.memory.close()
        tell.close()
    accelerator.wait_for_everyone()
    return _result(output, validation, train_data, division, loop, accelerator)


def _kind(data: DataSet, recipe: Recipe) -> str:
    if not data.videos:
        raise UsageError("there is no video to train on")
    if recipe.loss == "softmax" and data.kind == "multi":
        raise UsageError("the videos have several labels, and the softmax loss is for one; leave the loss to be chosen")
    return {"auto": data.kind, "softmax": "single", "sigmoid": "multi"}[recipe.loss]


def _without_flip_if_sided(recipe: Recipe, data: DataSet, observer: Observer) -> Recipe:
    sided = sided_classes(data.classes)
    if not recipe.flip or not sided:
        return recipe
    observer.note(f"clips are not mirrored, since classes tell left from right: {', '.join(sided[:3])}")
    return replace(recipe, flip=False)


def _accelerator(device: str, recipe: Recipe) -> Accelerator:
    chosen = choose_device(device)
    limit_torch_threads()
    if chosen.type == "cuda" and "LOCAL_RANK" not in os.environ:
        import torch

        torch.cuda.set_device(chosen)
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if choose_precision(chosen, "auto") == "bf16" else "fp32"
    AcceleratorState._reset_state(True)  # an earlier run of this process may have been of another precision
    return Accelerator(
        cpu=chosen.type == "cpu",
        mixed_precision="bf16" if precision == "bf16" else "no",
        gradient_accumulation_steps=recipe.accumulation,
    )


def _told(card: Card, base: Base, data: DataSet, output: Path) -> Card:
    """The card with texts of its own."""
    name = re.sub(r"[^\w.-]+", "-", output.resolve().name).strip("-.") or "model"
    trained = "trained from random weights" if base.tensors is None else f"{base.card.name}, fine-tuned"
    return replace(
        card,
        name=name,
        aliases=(),
        summary=f"{trained} on {len(data.videos)} videos of {len(data.classes)} classes",
        origin=f"nlvid train {__version__}, from {base.card.name}",
        format="safetensors",
        sources=(),
        accuracy=(),
    )


def _dataset(
    data: DataSet,
    trainee: Trainee,
    recipe: Recipe,
    seed: int,
    output: Path,
    machine: Machine,
    accelerator: Accelerator,
    tell: Observer,
) -> ClipDataset:
    """The training clips; where the videos fit into memory, one process of each machine decodes them now."""
    side = decoded_side(trainee.card, recipe)
    budget, threads = machine.memory_mib * 2**20, usable_processors()

    def remember(fill: bool) -> FrameMemory:
        try:
            return remember_frames(data, trainee.card, side, output, budget, threads, fill)
        except OSError as error:
            tell.note(f"{output}: no room for decoded videos ({error.strerror}); they are decoded in each epoch")
            return FrameMemory()

    first = accelerator.is_local_main_process
    memory = remember(fill=True) if first else FrameMemory()
    accelerator.wait_for_everyone()
    return ClipDataset(data, trainee.card, recipe, seed, memory if first else remember(fill=False))


def _workers(machine: Machine, accelerator: Accelerator, dataset: ClipDataset) -> int:
    """On a CPU, clips of remembered videos are made so fast that a process for it would only be in the way."""
    if machine.workers is not None:
        return machine.workers
    if accelerator.device.type == "cpu" and dataset.memory.path is not None:
        return 0
    return max(1, min(16, usable_processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _result(
    output: Path,
    validation: DataSet | None,
    data: DataSet,
    division: Division,
    loop: Loop,
    accelerator: Accelerator,
) -> TrainingResult:
    """Evaluate the model as it lies in its file, and write what came out into its card."""
    path = output / MODEL_FILE
    card, tensors = open_checkpoint(path)
    evaluation = None
    if validation is not None:
        evaluation = validate(card, tensors, validation, str(accelerator.device), division.rank, division.ranks)
        card = replace(card, accuracy=_accuracy(evaluation, data, loop.recipe))
        if not card.accuracy:
            loop.observer.note("no validation video with a label could be used, so that nothing is known of the model")
        if accelerator.is_main_process:
            with writing(path):
                replace_card(path, card)
    epochs = loop.state.step // division.steps_per_epoch
    return TrainingResult(output, path, card, loop.recipe, evaluation, epochs, dict(loop.state.bad))


def _accuracy(evaluation: Evaluation, data: DataSet, recipe: Recipe) -> tuple[Accuracy, ...]:
    """For the card; nothing where no video had a label."""
    metric = FIGURES[evaluation.label_kind]
    value = evaluation.figures[metric]
    if math.isnan(value):
        return ()
    clips, crops = evaluation.views.clips, evaluation.views.crops
    chose = "; these videos chose the epoch" if recipe.validate_every < recipe.epochs else ""
    accuracy = Accuracy(
        data_set=f"{len(evaluation.videos)} validation videos, {len(data.classes)} classes",
        metric={"top1": "top-1"}.get(metric, metric),
        value=round(100 * value, 2),
        protocol=f"{clips} clips x {crops} {'crop' if crops == 1 else 'crops'}{chose}",
        measured_by="nlvid train",
    )
    return (accuracy,)
