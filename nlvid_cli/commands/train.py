"""``nlvid train``: a model for one's own classes."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nlvid_cli.commands import train_options as options
from nlvid_cli.commands.options import As, Device, Quiet, Root, SkipMissing, Verbose
from nlvid_cli.errors import UsageError
from nlvid_cli.training.launch import is_launched, launch

if TYPE_CHECKING:
    from nlvid_cli.datasets.split import Split
    from nlvid_cli.training.cross import Start
    from nlvid_cli.training.run import TrainingResult

LIBRARIES = ("accelerate", "tensorboard", "torchmetrics")
"""Of the extra ``train``."""


def train(
    data: options.Data,
    output: options.RunFolder = None,
    root: Root = None,
    skip_missing: SkipMissing = False,
    base: options.BaseModel = None,
    as_name: As = None,
    scratch: options.Scratch = False,
    nonlocal_blocks: options.NonLocalBlocks = None,
    recipe: options.RecipeName = None,
    epochs: options.Epochs = None,
    batch: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    frames: options.Frames = None,
    step: options.Step = None,
    crop: options.Crop = None,
    until: options.Until = None,
    freeze: options.Freeze = None,
    no_flip: options.NoFlip = False,
    precision: options.TrainPrecision = None,
    settings: options.Settings = None,
    val_fraction: options.ValFraction = None,
    group_by: options.GroupBy = None,
    folds: options.Folds = None,
    leave_one_out: options.LeaveOneOut = False,
    check: options.Check = None,
    resume: options.Resume = False,
    seed: options.Seed = 0,
    device: Device = "auto",
    gpus: options.Gpus = None,
    workers: options.Workers = None,
    save_minutes: options.SaveMinutes = 10.0,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a model on labelled videos; prints the path of the model file.

    Several GPUs or machines: --gpus, or start it with torchrun or accelerate. Ctrl-C saves, and --resume goes on.

    Examples:

      nlvid train videos/ --base i3d --nonlocal 5 --freeze mixed_3c

      nlvid train labels.csv --scratch --group-by "^[^_]+" --epochs 60 -o runs/mine
    """
    require_extra()
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.datasets.read import read_data_set
    from nlvid_cli.training.cross import Start
    from nlvid_cli.training.model import SCRATCH
    from nlvid_cli.training.recipe import find_recipe, with_settings
    from nlvid_cli.training.run import Machine, find_base
    from nlvid_cli.training.splits import SplitChoice, choose_splits

    _require_one_beginning(scratch, base, as_name)
    changes = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "frames": frames,
        "step": step,
        "crop": crop,
        "until": until,
        "freeze": freeze,
        "flip": False if no_flip else None,
        "precision": precision,
    }
    preset = find_recipe(recipe or ("scratch" if scratch else "finetune"))
    chosen = with_settings(preset.with_changes(changes), settings or ())
    labelled = read_data_set(data, root=root, skip_missing=skip_missing)
    splits = choose_splits(labelled, SplitChoice(val_fraction, group_by, folds, leave_one_out, seed))
    if check or (check is None and not is_launched() and not resume):
        usable = _check(splits, group_by)
        if check:
            raise typer.Exit(0 if usable else 1)
    if gpus is not None and gpus > 1 and not is_launched():
        raise typer.Exit(launch(gpus))
    found = SCRATCH if scratch else find_base(base, as_name, DownloadBar())
    start = Start(found, chosen, nonlocal_blocks, seed, resume, Machine(device, workers, save_minutes))
    folder = output or Path("runs") / (data.resolve().stem or "run")
    _train(splits, folder, start, folds is not None or leave_one_out, quiet)


def require_extra() -> None:
    """Say what to install where a library for training is missing.

    Raises:
        UsageError: one is.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise UsageError(f'training needs {", ".join(missing)}; pip install "nlvid-cli[train]" brings it')


def _require_one_beginning(scratch: bool, base: str | None, as_name: str | None) -> None:
    if scratch and base is not None:
        raise UsageError("--scratch begins with random weights, --base with those of a model; choose one")
    if as_name is not None and base is None:
        raise UsageError("--as says whose network the file has that is named with --base; name one")


def _check(splits: list[Split], group_by: str | None) -> bool:
    """Look at the data, once, and tell on stderr what is wrong with it; returns whether every video can be used."""
    from rich.console import Console

    from nlvid_cli.commands.progress import counting_bar
    from nlvid_cli.datasets.check import check_data
    from nlvid_cli.report.data_check import data_check

    split = splits[0]
    whole = replace(split.train, videos=split.train.videos + split.val.videos)
    with counting_bar("checking videos", len(whole.videos)) as bar:
        report = check_data(
            split if len(splits) == 1 and split.val.videos else whole,
            group_pattern=group_by,
            progress=lambda done, _: bar.update(bar.task_ids[0], completed=done),
        )
    Console(stderr=True).print(data_check(report))
    return not report.unreadable


def _train(splits: list[Split], folder: Path, start: Start, several: bool, quiet: bool) -> None:
    from nlvid_cli.commands.train_progress import TrainProgress
    from nlvid_cli.training.cross import summarise_folds, train_folds

    observer = TrainProgress(quiet)
    is_main = os.environ.get("RANK", "0") == "0"
    if is_main:
        observer.note(start.recipe.describe())
    results = []
    for result in train_folds(splits, folder, start, several, observer):
        results.append(result)
        if is_main:
            _report(result)
            _tell(result)
            print(result.model)
    if several and is_main:
        summary = summarise_folds(results, folder)
        observer.note(summary)


def _report(result: TrainingResult) -> None:
    """Write report.html into the folder of the run."""
    from nlvid_cli.report.training_html import TrainingRun, write_training_report
    from nlvid_cli.training.records import read_rows

    facts = (("model", result.card.summary), ("made by", result.card.origin), ("recipe", result.recipe.describe()))
    run = TrainingRun(
        title=result.card.name,
        facts=facts,
        rows=read_rows(result.folder),
        evaluation=result.evaluation,
        bad=tuple(result.bad.items()),
    )
    write_training_report(result.folder / "report.html", run)


def _tell(result: TrainingResult) -> None:
    """What went wrong, what came out, and what to do with it."""
    for path, message in result.bad.items():
        print(f"warning: {path} was replaced by other videos: {message}", file=sys.stderr)
    for accuracy in result.card.accuracy:
        print(
            f"note: {accuracy.metric} {accuracy.value} % on {accuracy.data_set}; "
            f"{result.folder / 'report.html'} tells more; nlvid classify VIDEO --model {result.model}",
            file=sys.stderr,
        )
