"""Options of ``nlvid train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Data = Annotated[Path, typer.Argument(help="Folder with a folder per class, or a CSV, TSV or JSONL table.")]
RunFolder = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder of the run. Default: runs/NAME-OF-DATA.", show_default=False),
]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base", "-b", help="Model to go on from. Default: the first model that can be had.", show_default=False
    ),
]
Scratch = Annotated[bool, typer.Option("--scratch", help="A small network from random weights, and no --base.")]
NonLocalBlocks = Annotated[
    str | None,
    typer.Option(
        "--nonlocal",
        metavar="PLACES",
        help="Insert fresh non-local blocks: 1, 5 or 10 as in the paper, or after layers such as res4.1,res4.3.",
        show_default=False,
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="finetune, small, paper-32, paper-128, charades, scratch. Default: finetune, or scratch with --scratch.",
        show_default=False,
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Looks at each video.", show_default=False)]
BatchSize = Annotated[
    int | None, typer.Option("--batch", help="Clips per step, over all processes.", show_default=False)
]
LearningRate = Annotated[
    float | None,
    typer.Option("--lr", help="Learning rate for 64 clips; it is scaled to the batch.", show_default=False),
]
Frames = Annotated[int | None, typer.Option("--frames", help="Frames of a clip.", show_default=False)]
Step = Annotated[int | None, typer.Option("--step", help="Frames from one to the next.", show_default=False)]
Crop = Annotated[int | None, typer.Option("--crop", help="Pixels of the square crop.", show_default=False)]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="LAYER",
        help="Only the beginning of the base, up to this layer, such as mixed_4b: a small network.",
        show_default=False,
    ),
]
Freeze = Annotated[
    str | None,
    typer.Option(
        "--freeze", metavar="LAYER", help="Keep everything up to this layer, such as res3.", show_default=False
    ),
]
NoFlip = Annotated[bool, typer.Option("--no-flip", help="Never mirror clips.")]
TrainPrecision = Annotated[
    Literal["auto", "fp32", "bf16"] | None,
    typer.Option("--precision", help="auto: bf16 where the hardware has units for it.", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other figure of the recipe, such as dropout=0.3."),
]
ValFraction = Annotated[
    float | None,
    typer.Option(
        "--val-fraction",
        min=0.0,
        max=1.0,
        help="Share of the videos to validate on; 0: none. Default: what the data itself says, or 0.2.",
        show_default=False,
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="REGEX",
        help='Keep together what has this part of its name in common, e.g. "^[^_]+".',
        show_default=False,
    ),
]
Folds = Annotated[int | None, typer.Option("--folds", min=2, help="Cross-validation in so many runs.")]
LeaveOneOut = Annotated[
    bool, typer.Option("--leave-one-out", help="Cross-validation, a run for each group of --group-by.")
]
Check = Annotated[
    bool | None,
    typer.Option("--check/--no-check", help="Only look what is wrong with the data; or do not look before training."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is random.")]
Gpus = Annotated[int | None, typer.Option("--gpus", min=1, help="GPUs of this machine to train on.")]
Workers = Annotated[int | None, typer.Option("--workers", min=0, help="Processes that decode.", show_default=False)]
SaveMinutes = Annotated[
    float, typer.Option("--save-minutes", min=0.0, help="From one saved state, for --resume, to the next.")
]
