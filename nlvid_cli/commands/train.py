"""``nlvid train``: a model for your own classes."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlvid_cli.commands.logs import log
from nlvid_cli.commands.options import As, Device, Root, SkipMissing, Timeout, WorkerMemory
from nlvid_cli.errors import UsageError
from nlvid_cli.system.terminal import print_lines

if TYPE_CHECKING:
    from nlvid_cli.datasets.split import Split
    from nlvid_cli.training.plan import TrainingPlan
    from nlvid_cli.training.run import TrainingResult

LIBRARIES = ("accelerate", "sklearn", "tensorboard")
"""Libraries of the extra ``train``."""

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="Labelled videos: a folder per class, or a CSV, TSV or JSONL table.", show_default=False
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Folder of the run. Default: runs/NAME-OF-DATA.", show_default=False
    ),
]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base",
        "-b",
        metavar="MODEL",
        help="Model to fine-tune: name, alias, file, hf:// or https address, or imagenet:resnet50. Default: the first "
        "available.",
        show_default=False,
    ),
]
Scratch = Annotated[bool, typer.Option("--scratch", help="Train a small network from random weights, without --base.")]
NonLocalBlocks = Annotated[
    str | None,
    typer.Option(
        "--nonlocal",
        metavar="PLACES",
        help="Insert new non-local blocks: 1, 5 or 10 as in the paper, or after layers such as res4.1,res4.3.",
        show_default=False,
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="Recipe: probe, finetune, small, paper-32, paper-128, charades, scratch, or auto, which chooses by the "
        "videos and the device. Default: auto.",
        show_default=False,
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", metavar="N", help="Training epochs.", show_default=False)]
BatchSize = Annotated[
    int | None, typer.Option("--batch", metavar="N", help="Clips per step, over all processes.", show_default=False)
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--lr", metavar="RATE", help="Learning rate for a batch of 64 clips; scaled to --batch.", show_default=False
    ),
]
Frames = Annotated[int | None, typer.Option("--frames", metavar="N", help="Frames per clip.", show_default=False)]
ClipStep = Annotated[
    int | None, typer.Option("--step", metavar="N", help="Use every Nth frame of a clip.", show_default=False)
]
Crop = Annotated[
    int | None, typer.Option("--crop", metavar="PIXELS", help="Side of the square crop, in pixels.", show_default=False)
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="LAYER",
        help="Use only the layers of the base up to this one, such as mixed_4b, for a small network.",
        show_default=False,
    ),
]
Freeze = Annotated[
    str | None,
    typer.Option(
        "--freeze", metavar="LAYER", help="Do not train the layers up to this one, such as res3.", show_default=False
    ),
]
NoFlip = Annotated[bool, typer.Option("--no-flip", help="Never mirror clips.")]
TrainPrecision = Annotated[
    Literal["auto", "fp32", "bf16"] | None,
    typer.Option(
        "--precision", help="Numeric precision; auto: bf16 where the hardware is fast in it.", show_default=False
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other setting of the recipe, such as dropout=0.3; repeatable."
    ),
]
ValFraction = Annotated[
    float | None,
    typer.Option(
        "--val-fraction",
        metavar="FRACTION",
        min=0.0,
        max=1.0,
        help="Fraction of the videos to validate on; 0 for none. Default: the split of the data, or 0.2.",
        show_default=False,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="REGEX",
        help='Keep videos together whose names share this part, for example "^[^_]+".',
        show_default=False,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option("--folds", metavar="N", min=2, help="Number of folds, for cross-validation.", show_default=False),
]
LeaveOneOut = Annotated[
    bool, typer.Option("--leave-one-out", help="Cross-validate with one fold per --group-by group.")
]
Check = Annotated[
    bool | None,
    typer.Option(
        "--check/--no-check",
        help="Only check the data; or train without a check. Default: check, then train.",
        show_default=False,
    ),
]
CheckJson = Annotated[bool, typer.Option("--json", help="With --check, print what was understood as JSON.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --output.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="Random seed.")]
Gpus = Annotated[
    int | None,
    typer.Option("--gpus", metavar="N", min=1, help="Number of GPUs of this machine to train on.", show_default=False),
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=0, help="Number of decoding processes.", show_default=False)
]
SaveMinutes = Annotated[
    float,
    typer.Option("--save-minutes", metavar="MINUTES", min=0.0, help="Time between saves of the state for --resume."),
]


def train(
    data: Data,
    output: RunFolder = None,
    root: Root = None,
    skip_missing: SkipMissing = False,
    base: BaseModel = None,
    as_name: As = None,
    scratch: Scratch = False,
    nonlocal_blocks: NonLocalBlocks = None,
    recipe: RecipeName = None,
    epochs: Epochs = None,
    batch: BatchSize = None,
    learning_rate: LearningRate = None,
    frames: Frames = None,
    step: ClipStep = None,
    crop: Crop = None,
    until: Until = None,
    freeze: Freeze = None,
    no_flip: NoFlip = False,
    precision: TrainPrecision = None,
    settings: Settings = None,
    val_fraction: ValFraction = None,
    group_by: GroupBy = None,
    folds: Folds = None,
    leave_one_out: LeaveOneOut = False,
    check: Check = None,
    as_json: CheckJson = False,
    resume: Resume = False,
    seed: Seed = 0,
    device: Device = "auto",
    gpus: Gpus = None,
    workers: Workers = None,
    timeout: Timeout = 300.0,
    worker_memory: WorkerMemory = 4.0,
    save_minutes: SaveMinutes = 10.0,
) -> None:
    """Train a model on labelled videos.

    Prints the path of the model file. To use several GPUs, pass --gpus; for several machines, start it with
    torchrun or accelerate. Ctrl-C saves the run, and --resume continues it.

    Examples:

      nlvid train videos/ --base i3d --nonlocal 5 --freeze mixed_3c

      nlvid train labels.csv --scratch --group-by "^[^_]+" -o runs/mine
    """
    require_extra()
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.commands.train_check import check_only, check_splits
    from nlvid_cli.datasets.read import read_data_set
    from nlvid_cli.recognize.pipeline.worker import WorkerLimits
    from nlvid_cli.training.launch import is_launched, launch
    from nlvid_cli.training.plan import (
        AUTO,
        Machine,
        SplitChoice,
        TrainingPlan,
        choose_recipe,
        choose_splits,
        find_base,
        require_one_start,
    )
    from nlvid_cli.training.recipe import Recipe, find_recipe, with_settings

    require_one_start(scratch, base, as_name)
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
    machine = Machine(device, workers, save_minutes, limits=WorkerLimits(timeout, int(worker_memory * 2**30)))
    named = Recipe(AUTO) if recipe in (None, AUTO) else find_recipe(str(recipe))
    with_settings(named.with_changes(changes), settings or [])  # a fault in an option need not wait for the data
    split = SplitChoice(val_fraction, group_by, folds, leave_one_out, seed)
    if as_json and not check:
        raise UsageError("--json prints the result of --check; add --check")
    if check:
        raise typer.Exit(check_only(lambda: read_data_set(data, None, root, skip_missing), split, machine, as_json))
    splits = choose_splits(read_data_set(data, root=root, skip_missing=skip_missing), split)
    more: dict[str, object] = {"nonlocal": nonlocal_blocks, "freeze": freeze, "until": until, "set": settings}
    more |= {"epochs": epochs, "batch": batch, "lr": learning_rate}
    asked_for = [f"--{option}" for option, value in more.items() if value]
    choice = choose_recipe(recipe, scratch, splits[0].train, device, asked_for)
    chosen = with_settings(choice.recipe.with_changes(changes), settings or [])
    if check is None and not is_launched() and not resume:
        check_splits(splits, group_by, machine)
    if gpus is not None and gpus > 1 and not is_launched():
        raise typer.Exit(launch(gpus))
    plan = TrainingPlan(
        base=find_base(base, as_name, DownloadBar(), scratch=scratch),
        recipe=chosen,
        nonlocal_blocks=nonlocal_blocks,
        seed=seed,
        resume=resume,
        machine=machine,
    )
    folder = output or Path("runs") / (data.resolve().stem or "run")
    _train(splits, folder, plan, split.is_cross_validation, choice.why)


def require_extra() -> None:
    """Check that the libraries of the extra ``train`` are installed.

    Raises:
        UsageError: One is missing; says what to install.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise UsageError(f'training needs {", ".join(missing)}; run pip install "nlvid-cli[train]"')


def _train(splits: list[Split], folder: Path, plan: TrainingPlan, is_cross_validation: bool, why: str) -> None:
    from nlvid_cli.commands.progress import TrainProgress
    from nlvid_cli.report.training_page import TrainingRun, write_training_page
    from nlvid_cli.training.cross_validation import summarise_folds, train_splits

    observer = TrainProgress()
    is_main = os.environ.get("RANK", "0") == "0"
    if is_main:
        observer.note(plan.recipe.describe() + (f" (chosen because {why})" if why else ""))
    results = []
    for result in train_splits(splits, folder, plan, is_cross_validation, observer):
        results.append(result)
        if is_main:
            page = result.folder / "report.html"
            write_training_page(page, TrainingRun.of(result))
            _log(result, page)
            print_lines([str(result.model)])
    if is_cross_validation and is_main:
        observer.note(summarise_folds(results, folder))


def _log(result: TrainingResult, page: Path) -> None:
    """Log what went wrong, how good the model is, and what to do with it."""
    for path, message in result.bad.items():
        log.warning("%s could not be used, and other videos took its place: %s", path, message)
    for figure in result.card.accuracy:
        log.info("%s %s %% on %s; see %s", figure.metric, figure.value, figure.data_set, page)
    log.info("to use the model, run nlvid classify VIDEO --model %s", result.model)
