"""The public function :func:`nlvid_cli.train`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import UsageError
from nlvid_cli.training.observer import Observer
from nlvid_cli.training.plan import (
    Machine,
    SplitChoice,
    TrainingPlan,
    choose_recipe,
    choose_splits,
    find_base,
    require_one_start,
)
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.run import TrainingResult, train_split


def train(
    data: DataSet | str | PathLike[str],
    output: str | PathLike[str],
    *,
    base: str | PathLike[str] | None = None,
    as_name: str | None = None,
    scratch: bool = False,
    recipe: Recipe | str | None = None,
    nonlocal_blocks: str | None = None,
    split: SplitChoice | None = None,
    resume: bool = False,
    machine: Machine | None = None,
    observer: Observer | None = None,
) -> TrainingResult:
    """Train a model on labelled videos.

    Processes with limits read the videos; with ``Machine(workers=0)``, this process does.

    Args:
        data: Labelled videos, or the path to their folder or table.
        output: Folder of the run. The model is ``model.safetensors`` in it.
        base: Name or file of the model to start from, or an ImageNet network: ``imagenet:resnet50``. None chooses the
            first available model.
        as_name: For a base in a file without a model card: the model whose network it holds.
        scratch: Whether to train a small network from random weights instead.
        recipe: Name of a preset, or a recipe of your own. None chooses by the videos and the device.
        nonlocal_blocks: Non-local blocks to insert: ``1``, ``5``, ``10``, or names of layers.
        split: Which videos to validate on, and the random seed of the run. No cross-validation.
        resume: Whether to continue the run in ``output``, if there is one.
        machine: Device, workers, memory.
        observer: Receives steps, epochs, and notes.

    Raises:
        UsageError: The arguments contradict each other.
        ModelError: The base is not available.
    """
    split = split or SplitChoice()
    if split.is_cross_validation:
        raise UsageError("one call trains one model; for a cross-validation, call train for each of choose_splits(...)")
    require_one_start(scratch, base, as_name)
    labelled = data if isinstance(data, DataSet) else read_data_set(Path(data))
    parts = choose_splits(labelled, split)[0]
    machine = machine or Machine()
    if not isinstance(recipe, Recipe):
        asked_for = () if nonlocal_blocks is None else ("nonlocal_blocks",)
        recipe = choose_recipe(recipe, scratch, parts.train, machine.device, asked_for).recipe
    plan = TrainingPlan(
        base=find_base(base, as_name, scratch=scratch),
        recipe=recipe,
        nonlocal_blocks=nonlocal_blocks,
        seed=split.seed,
        resume=resume,
        machine=machine,
    )
    return train_split(parts, Path(output), plan, observer)
