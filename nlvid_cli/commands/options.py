"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

log = logging.getLogger("nlvid_cli")


class _StderrHandler(logging.Handler):
    """Notes and warnings, a line each, on whatever stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = {logging.INFO: "note", logging.DEBUG: "debug"}.get(record.levelno, "warning")
        print(f"{kind}: {record.getMessage()}", file=sys.stderr)


def start_logging(level: int) -> None:
    """Tell notes (INFO) and warnings of nlvid on stderr, from ``level`` on."""
    log.setLevel(level)
    log.propagate = False
    if not log.handlers:
        log.addHandler(_StderrHandler())


def _set_quiet(quiet: bool) -> None:
    if quiet:
        start_logging(logging.ERROR)


def _set_verbose(verbose: bool) -> None:
    start_logging(logging.DEBUG if verbose else logging.INFO)


Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_set_verbose, is_eager=True, help="Explain what is done.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_set_quiet, help="No notes on stderr.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Name or alias (see `nlvid models list`), file, hf://owner/repo/file or https address. "
        "Default: the first that can be had.",
        show_default=False,
    ),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="For a file without a model card: the model whose network, labels and protocol it has.",
        show_default=False,
    ),
]
Clips = Annotated[int | None, typer.Option("--clips", min=1, help="Clips per video. Default: as published.")]
Crops = Annotated[Literal["1", "3"] | None, typer.Option("--crops", help="Crops per clip. Default: as published.")]
CROPS: dict[str | None, Literal[1, 3] | None] = {None: None, "1": 1, "3": 3}
"""What :data:`Crops` means; the command line has texts only."""
Step = Annotated[
    int | None, typer.Option("--step", min=1, max=2**20, help="Frames from one to the next. Default: as published.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--labels", metavar="PATTERN", help='Only these labels, e.g. "swim*"; repeatable.'),
]
TopK = Annotated[
    int | None,
    typer.Option("--top-k", "-k", min=1, help="Labels to show at most. Default: 5, or all above --threshold."),
]
Threshold = Annotated[
    float | None, typer.Option("--threshold", min=0.0, max=1.0, help="Show the labels that score at least this.")
]
MinScore = Annotated[float, typer.Option("--min-score", min=0.0, max=1.0, help='Below this, the answer is "unsure".')]
BackendChoice = Annotated[
    Literal["auto", "torch", "onnx"],
    typer.Option("--backend", help="What runs the network; auto takes what is faster here (docs/onnx.md)."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.", show_default=True)]
PrecisionName = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option("--precision", help="auto takes what the hardware is fastest in."),
]
Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="FOLDER", help="What paths in a table are relative to.", show_default=False),
]
SkipMissing = Annotated[bool, typer.Option("--skip-missing", help="Leave out videos of a table that are not there.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write here instead of to stdout.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
