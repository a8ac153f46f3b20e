"""``nlvid evaluate``: how good a model is on labelled videos."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nlvid_cli.commands.options import (
    CROPS,
    As,
    AsJson,
    BackendChoice,
    Clips,
    Crops,
    Device,
    Model,
    PrecisionName,
    Quiet,
    Root,
    SkipMissing,
    Verbose,
)

if TYPE_CHECKING:
    from nlvid_cli.datasets.labelled import DataSet
    from nlvid_cli.evaluation.evaluate import Evaluation
    from nlvid_cli.recognize.recognizer import Recognizer


def evaluate(
    data: Annotated[Path, typer.Argument(help="Labelled videos: a folder per class, or a table (docs/data.md).")],
    model: Model = None,
    as_name: As = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Only the train, val or test part of DATA.")
    ] = None,
    root: Root = None,
    skip_missing: SkipMissing = False,
    clips: Clips = None,
    crops: Crops = None,
    backend: BackendChoice = "auto",
    device: Device = "auto",
    precision: PrecisionName = "auto",
    predictions: Annotated[
        Path | None, typer.Option("--predictions", metavar="FILE", help="Each video's answer: .csv, or .jsonl.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="A page with it all and the worst mistakes in pictures."),
    ] = None,
    all_classes: Annotated[bool, typer.Option("--all-classes", help="Not only the worst.")] = False,
    write_temperature: Annotated[
        bool, typer.Option("--write-temperature", help="Calibrate the model file: write the temperature into its card.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare what a model says with the labels of videos, by the published test protocol.

    Top-1, top-5 and mean class accuracy, or mAP where a video may have several labels; the worst classes, what is
    confused with what, and the temperature that calibrates the scores. Exit status 1 if some videos failed.

    Examples:

      nlvid evaluate val/ --model runs/mine/model.safetensors --predictions answers.csv

      nlvid evaluate kinetics/val.csv --root kinetics/videos --model nl-i3d --crops 3 --json
    """
    from nlvid_cli.card.manifest import label_names
    from nlvid_cli.commands.loading import Loading
    from nlvid_cli.commands.options import log
    from nlvid_cli.datasets.match import read_for_model
    from nlvid_cli.report.predictions import predictions_writer
    from nlvid_cli.report.training_html import write_evaluation_report
    from nlvid_cli.system.overwrite import refuse_inputs

    if write_temperature:
        _require_own_file(model, as_name)
    if predictions is not None:
        predictions_writer(predictions)
    recognizer = Loading(model, as_name, backend, device, precision, clips, CROPS[crops]).load()
    found = read_for_model(data, label_names(recognizer.card), root, skip_missing)
    refuse_inputs([predictions, html], [str(data), model or "", *(str(video.path) for video in found.videos)])
    found = _part(found, split)
    started = time.perf_counter()
    evaluation = _evaluate(found, recognizer, predictions)
    for note in evaluation.notes:
        log.info("%s", note)
    _show(evaluation, as_json, all_classes, time.perf_counter() - started)
    if html is not None:
        write_evaluation_report(html, evaluation)
    if write_temperature:
        _write_temperature(Path(str(model)), evaluation)
    if evaluation.failures:
        total = len(evaluation.failures) + len(evaluation.videos)
        print(f"{len(evaluation.failures)} of {total} videos failed", file=sys.stderr)
        raise typer.Exit(1)


def _part(data: DataSet, split: str | None) -> DataSet:
    """The videos of one split; with a note where there are several and none was asked for."""
    from nlvid_cli.commands.options import log
    from nlvid_cli.errors import did_you_mean

    counts: dict[str, int] = {}
    for video in data.videos:
        if video.split is not None:
            counts[video.split] = counts.get(video.split, 0) + 1
    parts = ", ".join(f"{name} ({count})" for name, count in counts.items())
    if split is None:
        if len(counts) > 1:
            log.warning("the data set has the parts %s, and all of them are evaluated; choose with --split", parts)
        return data
    if split not in counts:
        raise did_you_mean("part of the data set", split, counts, f"it has {parts}" if parts else "it has none")
    return replace(data, videos=tuple(video for video in data.videos if video.split == split))


def _evaluate(data: DataSet, recognizer: Recognizer, predictions: Path | None) -> Evaluation:
    """Evaluate with a bar on a terminal, failures on stderr, and predictions written as they come."""
    from nlvid_cli.card.manifest import label_names
    from nlvid_cli.commands.progress import counting_bar
    from nlvid_cli.evaluation.evaluate import ScoredVideo, evaluate
    from nlvid_cli.recognize.prediction import Failure
    from nlvid_cli.report.output import open_whole
    from nlvid_cli.report.predictions import predictions_writer
    from nlvid_cli.report.table import printable
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

        def tell(result: ScoredVideo | Failure) -> None:
            done.append(None)
            bar.advance(bar.task_ids[0])
            if writer is not None:
                writer.add(result)
            if isinstance(result, Failure):
                print(f"error: {printable(result.video)}: {result.error.message}", file=sys.stderr)
            interrupts.check()

        return evaluate(data, recognizer, tell)


def _show(evaluation: Evaluation, as_json: bool, all_classes: bool, elapsed_seconds: float) -> None:
    from nlvid_cli.report.evaluation import evaluation_json, evaluation_report
    from nlvid_cli.report.table import stdout_console

    if as_json:
        print(json.dumps(evaluation_json(evaluation), indent=2))
    else:
        stdout_console().print(evaluation_report(evaluation, all_classes, elapsed_seconds))


def _require_own_file(model: str | None, as_name: str | None) -> None:
    """A temperature can be written only into a file of nlvid's on this machine.

    Raises:
        UsageError: the model is something else; says how to get such a file.
    """
    from nlvid_cli.errors import UsageError
    from nlvid_cli.models.reference import kind_of

    if model is None or kind_of(model) != "file" or as_name is not None:
        name = model or "NAME"
        if as_name is not None:
            how = f"`nlvid models convert {name} --as {as_name} -o mine.safetensors`"
        else:
            how = f'`cp "$(nlvid models pull {name})" mine.safetensors`'
        raise UsageError(
            "--write-temperature changes the card in a model file of your own; make one with "
            f"{how} and name it with --model"
        )


def _write_temperature(path: Path, evaluation: Evaluation) -> None:
    """Put the temperature into the card of a model file, and say so.

    Raises:
        NlvidError: the videos determine none.
        OutputError: the file cannot be written.
    """
    from nlvid_cli.commands.options import log
    from nlvid_cli.errors import NlvidError, OutputError
    from nlvid_cli.models.model_file import read_card, replace_card
    from nlvid_cli.report.evaluation import calibration_sentence

    if not evaluation.calibration.determined:
        raise NlvidError(f"{path} was left as it is: {calibration_sentence(evaluation)}")
    try:
        replace_card(path, replace(read_card(path), temperature=round(evaluation.calibration.temperature, 6)))
    except OSError as error:
        raise OutputError(f"{path}: the temperature cannot be written ({error.strerror or error})") from None
    log.info("%s has the temperature %.4g now", path, evaluation.calibration.temperature)
