"""A labelling run from its options to its end: find the videos that have no row, label them, count."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nlvid_cli.errors import UsageError
from nlvid_cli.labelling import shards
from nlvid_cli.labelling.ledger import Ledger
from nlvid_cli.labelling.output_files import OutputFiles
from nlvid_cli.labelling.ray_engine import Loader, RayEngine
from nlvid_cli.labelling.rows import Request
from nlvid_cli.labelling.run import Engine, Listener, LocalEngine, Tally, Todo, label
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.recognize.timeline_run import RuleOptions
from nlvid_cli.system.interrupts import GentleInterrupt
from nlvid_cli.system.lock import locked
from nlvid_cli.video.segment import Segment

log = logging.getLogger(__name__)

TRIED = 8
"""Number of videos labelled to estimate the time of all."""

Watch = Callable[[Tally, int, int], AbstractContextManager[Listener]]
"""Shows a run while it lasts: from its tally and the numbers of decoding processes and devices to a listener."""


@dataclass(frozen=True)
class LabelJob:
    """What to do with each video, and with what.

    Attributes:
        loader: Loads the model on a device.
        gpus: Number of GPUs; None for the device of the loader.
        answer: Labels to report.
        auto_views: Whether to stop looking at a video once its answer is settled.
        limits: Limits of time, memory and processes.
        engine: This machine, or a Ray cluster.
        ray_address: Address of the cluster; None starts one on this machine.
        retry_failed: Whether to label videos again that failed before.
        overwrite: Whether to ignore the rows already in the output.
        rule: What differs from the default rule of timelines, whose segments are asked for; None: no segments.
    """

    loader: Loader
    gpus: int | None
    answer: Answer
    auto_views: bool
    limits: Limits
    engine: Literal["local", "ray"]
    ray_address: str | None
    retry_failed: bool
    overwrite: bool
    rule: RuleOptions | None = None

    def recognizers(self) -> list[Recognizer]:
        """Load the model once per device."""
        if self.engine == "ray":  # the cluster loads its own; only the card is needed here
            return [self.loader.load("cpu")]
        if self.gpus is None:
            return [self.loader.load()]
        return [self.loader.load(f"cuda:{number}") for number in range(self.gpus)]

    def request(self, recognizer: Recognizer) -> Request:
        """Return what is asked of the model.

        Raises:
            UsageError: The model or the engine cannot answer it.
        """
        recognizer.checked(self.answer)
        if self.engine == "ray" and self.auto_views:
            raise UsageError("--views auto needs --engine local")
        if self.rule is not None and self.auto_views:
            raise UsageError("--views auto and --timeline exclude each other: a timeline looks at the whole video")
        views = recognizer.views if self.rule is None else replace(recognizer.views, clips=1)
        name, sha256 = recognizer.card.name, recognizer.model_sha256
        return Request(name, sha256, views, self.auto_views, self.answer, self.rule)


@dataclass(frozen=True)
class Finished:
    """The end of a run.

    Attributes:
        failed: Number of videos without a prediction, from this run and earlier ones.
        interrupted: Whether the run stopped early because the user asked for it.
    """

    failed: int
    interrupted: bool


@dataclass(frozen=True)
class Estimate:
    """What a run would do, judged by a few videos.

    Attributes:
        rows: File that the rows would go to.
        videos: Number of videos named.
        todo: Number of videos without a row.
        recognizer: The model.
        tried: Tally of the videos labelled for the estimate.
        seconds: Time that those took.
    """

    rows: Path
    videos: int
    todo: int
    recognizer: Recognizer
    tried: Tally
    seconds: float


def run(job: LabelJob, segments: Sequence[Segment], outputs: OutputFiles, watch: Watch) -> Finished:
    """Label the videos that have no row yet.

    The first Ctrl-C or SIGTERM finishes the videos that have begun, and then ends the run.

    Args:
        job: What to do.
        segments: Videos, or parts of them.
        outputs: Files to write.
        watch: Shows how the run is going.

    Raises:
        OutputError: The rows cannot be written, or another run is writing them.
    """
    with locked(outputs.rows):
        recognizers = job.recognizers()
        request = job.request(recognizers[0])
        ledger, todo, failed_before = _open_ledger(job, request, segments, outputs.rows)
        tally = Tally(len(todo))
        interrupt = GentleInterrupt(lambda: log.info("finishing the videos in progress; Ctrl-C again stops now"))
        with ledger:
            ledger.open()
            if todo:
                engine = _engine(job, recognizers, request, lambda: interrupt.wanted)
                with interrupt, watch(tally, job.limits.worker_count, len(recognizers)) as listener:
                    label(engine, ledger, todo, tally, listener)
        outputs.make_table()
    return Finished(tally.failed + failed_before, interrupt.wanted)


def merge(files: Sequence[Path], outputs: OutputFiles) -> None:
    """Make one file of rows from several.

    Args:
        files: Files of rows; empty for the shards beside the output.
        outputs: Files to write.
    """
    count, failed = shards.merge(list(files) or shards.shard_files(outputs.rows), outputs.rows)
    log.info("%s: %d rows, %d of them failures", outputs.rows, count, failed)
    outputs.make_table()


def estimate(job: LabelJob, segments: Sequence[Segment], outputs: OutputFiles) -> Estimate:
    """Estimate a run by labelling a few of its videos; nothing is written."""
    recognizers = job.recognizers()
    request = job.request(recognizers[0])
    _, todo, _ = _open_ledger(job, request, segments, outputs.rows)
    tried = todo[:: -(-len(todo) // TRIED)] if todo else []
    tally = Tally(len(tried))
    if tried:
        for row in LocalEngine(recognizers, request, job.limits, lambda: False)(tried, tally):
            tally.count(row)
    return Estimate(outputs.rows, len(segments), len(todo), recognizers[0], tally, tally.seconds)


def _engine(job: LabelJob, recognizers: list[Recognizer], request: Request, stopping: Callable[[], bool]) -> Engine:
    if job.engine == "ray":
        card = recognizers[0].card
        rules = (card.sampling, card.preprocess)
        return RayEngine(job.loader, rules, request, job.limits, job.gpus, job.ray_address, stopping)
    return LocalEngine(recognizers, request, job.limits, stopping)


def _open_ledger(job: LabelJob, request: Request, segments: Sequence[Segment], rows: Path) -> tuple[Ledger, Todo, int]:
    """Return the rows, the videos that have none, and the number of the others that failed."""
    ledger = Ledger(rows)
    if not job.overwrite:
        ledger.read()
    todo = list(ledger.to_do(segments, request, job.retry_failed))
    begun = {segment for segment, _ in todo}
    kept = {replace(segment, path=str(segment.path)) for segment in segments if segment not in begun}
    answers = [row for row in ledger.summaries if row.segment in kept and request.is_answered_by(row)]
    failed = sum(row.error is not None for row in answers)
    if kept:
        note = f", {failed} of them as failed (--retry-failed tries these again)" if failed else ""
        log.info("%s: %d of %d videos are already in it%s", rows, len(kept), len(segments), note)
    return ledger, todo, failed
