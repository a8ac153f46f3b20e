"""Training from Python: ``nlvid_cli.train``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.errors import UsageError
from nlvid_cli.training.model import SCRATCH
from nlvid_cli.training.observer import Observer
from nlvid_cli.training.recipe import Recipe, find_recipe
from nlvid_cli.training.run import Machine, TrainingResult, find_base, train_split
from nlvid_cli.training.splits import SplitChoice, choose_splits


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

    Where clips are made by worker processes, the calling script needs ``if __name__ == "__main__":``, as always with
    processes in Python; ``Machine(workers=0)`` does without.

    Args:
        data: labelled videos, or where they lie.
        output: folder of the run; the model is ``model.safetensors`` in it.
        base: model to go on from, by name or file; None: the first that can be had.
        as_name: for a base in a file without a model card: the model whose network it has.
        scratch: a small network from random weights instead.
        recipe: a preset's name, or one of your own; None: ``finetune``, or ``scratch`` with ``scratch``.
        nonlocal_blocks: fresh blocks to insert: ``1``, ``5``, ``10``, or names of layers.
        split: what to validate on, and the seed of everything; no cross-validation here.
        resume: go on with the run in ``output``, if there is one.
        machine: device, workers, memory.
        observer: is told how it goes.

    Raises:
        UsageError: what was asked for does not go together.
        ModelError: the base cannot be had.
    """
    split = split or SplitChoice()
    if split.is_cross_validation:
        raise UsageError("one call trains one model; for a cross-validation, call train for each of choose_splits(...)")
    if scratch and base is not None:
        raise UsageError("scratch begins with random weights, base with those of a model; choose one")
    found = data if isinstance(data, DataSet) else read_data_set(Path(data))
    chosen = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or ("scratch" if scratch else "finetune"))
    return train_split(
        choose_splits(found, split)[0],
        Path(output),
        SCRATCH if scratch else find_base(base, as_name),
        chosen,
        nonlocal_blocks=nonlocal_blocks,
        seed=split.seed,
        resume=resume,
        machine=machine,
        observer=observer,
    )
