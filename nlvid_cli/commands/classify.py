"""``nlvid classify``: the labels of one or more videos."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlvid_cli.commands.options import (
    CROPS,
    As,
    BackendChoice,
    Clips,
    Crops,
    Device,
    Labels,
    MinScore,
    Model,
    Output,
    PrecisionName,
    Quiet,
    Step,
    Threshold,
    TopK,
    Verbose,
)

if TYPE_CHECKING:
    from nlvid_cli.recognize.prediction import Result
    from nlvid_cli.report import ReportOptions


def classify(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO", help="Files, folders, @list.txt, or - for a list on stdin."),
    ],
    model: Model = None,
    as_name: As = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Also the top label of each clip.")] = False,
    labels: Labels = None,
    min_score: MinScore = 0.0,
    clips: Clips = None,
    crops: Crops = None,
    step: Step = None,
    format_: Annotated[
        Literal["table", "json", "jsonl", "csv"], typer.Option("--format", "-f", help="Form of the result.")
    ] = "table",
    output: Output = None,
    backend: BackendChoice = "auto",
    device: Device = "auto",
    precision: PrecisionName = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Name the actions in videos.

    Examples:

      nlvid classify video.mp4

      nlvid classify clips/ --model i3d --top-k 3 --format jsonl -o labels.jsonl
    """
    from nlvid_cli.commands.loading import Loading
    from nlvid_cli.inputs.videos import find_videos, is_one_video
    from nlvid_cli.recognize.answer import Answer
    from nlvid_cli.report import ReportOptions
    from nlvid_cli.system.overwrite import refuse_inputs

    paths = find_videos(videos)
    refuse_inputs([output], [*videos, *map(str, paths), model or ""])
    recognizer = Loading(model, as_name, backend, device, precision, clips, CROPS[crops], step).load()
    answer = Answer.of_options(top_k, threshold, labels, min_score)
    options = ReportOptions(timeline, is_one_video(videos))
    failures = _report_all(recognizer.classify_many(paths, answer), len(paths), format_, output, options)
    if failures:
        if len(paths) > 1:
            print(f"{failures} of {len(paths)} videos failed", file=sys.stderr)
        raise typer.Exit(1)


def _report_all(
    results: Iterable[Result], count: int, format_: str, output: Path | None, options: ReportOptions
) -> int:
    """Report each video as it is done, failures on stderr too; returns how many failed."""
    from nlvid_cli.commands.progress import spinner
    from nlvid_cli.recognize.prediction import Failure
    from nlvid_cli.report.output import open_report
    from nlvid_cli.report.table import printable
    from nlvid_cli.system.interrupts import Interrupts, sigterm_as_ctrl_c

    failures = 0
    with (
        Interrupts() as interrupts,
        sigterm_as_ctrl_c(),
        open_report(format_, output, options) as report,
        spinner(f"looking at {count} videos" if count > 1 else "looking at the video") as status,
    ):
        started = time.perf_counter()
        for number, result in enumerate(results, start=1):
            status.stop()
            report.add(result, time.perf_counter() - started)
            interrupts.check()
            started = time.perf_counter()
            if isinstance(result, Failure):
                failures += 1
                print(f"error: {printable(result.video)}: {result.error.message}", file=sys.stderr)
            if number < count:
                status.update(f"video {number + 1} of {count}")
                status.start()
    return failures
