"""``nlvid evaluate``: how good a model is on labelled videos."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nlvid_cli.commands.logs import log
from nlvid_cli.commands.options import (
    CROPS,
    As,
    AsJson,
    Backend,
    Clips,
    Crops,
    Device,
    Fps,
    Model,
    PrecisionName,
    Root,
    SkipMissing,
)
from nlvid_cli.system.terminal import tell

if TYPE_CHECKING:
    from nlvid_cli.datasets.labelled import DataSet
    from nlvid_cli.evaluation.evaluate import Evaluation
    from nlvid_cli.recognize.recognizer import Recognizer

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="Labelled videos: a folder per class, or a table (see docs/data.md).", show_default=False
    ),
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Evaluate only this part of DATA: train, val or test.")
]
Predictions = Annotated[
    Path | None,
    typer.Option("--predictions", metavar="FILE", help="Write the prediction for each video to a .csv or .jsonl file."),
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Write a page with all figures and the worst mistakes."),
]
AllClasses = Annotated[bool, typer.Option("--all-classes", help="Show all classes, not only the worst.")]
WriteTemperature = Annotated[
    bool, typer.Option("--write-temperature", help="Calibrate the model file: write the temperature into its card.")
]


def evaluate(
    data: Data,
    model: Model = None,
    as_name: As = None,
    split: Split = None,
    root: Root = None,
    skip_missing: SkipMissing = False,
    fps: Fps = None,
    clips: Clips = None,
    crops: Crops = None,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: PrecisionName = "auto",
    predictions: Predictions = None,
    html: Report = None,
    all_classes: AllClasses = False,
    write_temperature: WriteTemperature = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on labelled videos.

    Follows the published test protocol. Reports top-1, top-5 and mean class accuracy, or mAP for videos with
    several labels; the worst classes, the most confused pairs, and the temperature that calibrates the scores. The
    exit status is 1 if some videos failed.

    Examples:

      nlvid evaluate val/ --model mine.safetensors --predictions answers.csv

      nlvid evaluate val.csv --root videos/ --model nl-i3d --crops 3 --json
    """
    from nlvid_cli.card.manifest import label_names
    from nlvid_cli.commands.loading import Loading
    from nlvid_cli.datasets.labelled import part_of, with_frame_rate
    from nlvid_cli.datasets.match import read_for_model
    from nlvid_cli.evaluation import temperature
    from nlvid_cli.report.evaluation import evaluation_json, evaluation_report
    from nlvid_cli.report.predictions import predictions_writer
    from nlvid_cli.report.stdout import print_json_or
    from nlvid_cli.system.overwrite import refuse_inputs

    own_file = temperature.require_own_file(model, as_name) if write_temperature else None
    if predictions is not None:
        predictions_writer(predictions)  # refuse a name with another ending before any work is done
    recognizer = Loading(model, as_name, backend, device, precision, clips, CROPS[crops]).load()
    found = with_frame_rate(read_for_model(data, label_names(recognizer.card), root, skip_missing), fps)
    refuse_inputs([predictions, html], [str(data), model or "", *(str(video.path) for video in found.videos)])
    started = time.perf_counter()
    evaluation = _evaluate(part_of(found, split), recognizer, predictions)
    seconds = time.perf_counter() - started
    for note in evaluation.notes:
        log.info("%s", note)
    print_json_or(
        as_json,
        lambda: evaluation_json(evaluation),
        lambda: evaluation_report(evaluation, all_classes, seconds),
    )
    if html is not None:
        from nlvid_cli.report.evaluation_page import write_evaluation_page

        write_evaluation_page(html, evaluation)
    if own_file is not None:
        temperature.write_temperature(own_file, evaluation.calibration)
    if evaluation.failures:
        total = len(evaluation.failures) + len(evaluation.videos)
        tell(f"{len(evaluation.failures)} of {total} videos failed")
        raise typer.Exit(1)


def _evaluate(data: DataSet, recognizer: Recognizer, predictions: Path | None) -> Evaluation:
    """Evaluate with a bar on a terminal, failures on stderr, and each prediction written when it is there."""
    from nlvid_cli.card.manifest import label_names
    from nlvid_cli.commands.progress import counting_bar
    from nlvid_cli.evaluation.evaluate import ScoredVideo, evaluate
    from nlvid_cli.recognize.prediction import Failure
    from nlvid_cli.report.output import open_whole
    from nlvid_cli.report.predictions import predictions_writer
    from nlvid_cli.report.table import failure_line
    from nlvid_cli.system.interrupts import Interrupts, sigterm_as_ctrl_c

    done: list[None] = []
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        stack.enter_context(sigterm_as_ctrl_c())
        writer = None
        if predictions is not None:
            stream = stack.enter_context(open_whole(predictions, lambda: bool(done)))
            writer = predictions_writer(predictions)(stream, label_names(recognizer.card))
        bar = stack.enter_context(counting_bar("videos", len(data.videos)))

        def on_video(result: ScoredVideo | Failure) -> None:
            done.append(None)
            bar.advance(bar.task_ids[0])
            if writer is not None:
                writer.add(result)
            if isinstance(result, Failure):
                tell(failure_line(result))
            interrupts.check()

        return evaluate(data, recognizer, on_video)
