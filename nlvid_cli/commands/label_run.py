"""What ``nlvid label`` does once its options are read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from nlvid_cli.commands.label_progress import duration, progress, summary
from nlvid_cli.commands.loading import Loading
from nlvid_cli.errors import UsageError
from nlvid_cli.inputs.parquet import import_parquet
from nlvid_cli.labelling import shards
from nlvid_cli.labelling.ledger import Ledger, locked
from nlvid_cli.labelling.ray_engine import RayEngine
from nlvid_cli.labelling.rows import Request
from nlvid_cli.labelling.run import Engine, LocalEngine, Tally, Todo, label
from nlvid_cli.labelling.tables import TABLES, make_table
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.system.atomic import behind_links
from nlvid_cli.system.interrupts import GentleInterrupt
from nlvid_cli.system.overwrite import refuse_inputs
from nlvid_cli.video.remote import VideoPath

log = logging.getLogger(__name__)

TRIED = 8
"""Videos that are labelled to say how long all would take."""


@dataclass(frozen=True)
class Job:
    """What is to be done with each video, and with what."""

    loading: Loading
    gpus: int | None
    answer: Answer
    auto_views: bool
    limits: Limits
    engine: Literal["local", "ray"]
    ray_address: str | None
    retry_failed: bool
    overwrite: bool

    def recognizers(self) -> list[Recognizer]:
        """The model, once per device."""
        if self.engine == "ray":  # here only its card is needed
            return [self.loading.load("cpu")]
        if self.gpus is None:
            return [self.loading.load()]
        return [self.loading.load(f"cuda:{number}") for number in range(self.gpus)]

    def request(self, recognizer: Recognizer) -> Request:
        """What is asked of the model."""
        recognizer.check(self.answer)
        if self.engine == "ray" and self.auto_views:
            raise UsageError("--views auto is for --engine local")
        return Request(recognizer.card.name, recognizer.model_sha256, recognizer.views, self.auto_views, self.answer)


@dataclass(frozen=True)
class Outputs:
    """Where the results go.

    Attributes:
        rows: the file of rows.
        table: made of them at the end, a key of ``TABLES`` and a path; None if none is wanted.
    """

    rows: Path
    table: tuple[str, Path] | None

    @classmethod
    def named(cls, output: Path, format_: str | None, part: shards.Shard | None) -> Outputs:
        """From ``--output``, ``--format`` and ``--shard``: ``labels.csv`` is made of ``labels.jsonl`` beside it.

        Raises:
            UsageError: they do not fit each other, or something else than a file is there.
        """
        if output == Path("-"):
            raise UsageError("--output is a file that rows are added to, not -; `nlvid classify -f jsonl` prints them")
        suffix = output.suffix.lower()[1:]
        wanted = format_ or suffix
        if suffix in TABLES and wanted != suffix:
            raise UsageError(f"--format {wanted} does not fit {output}; leave --format out, or choose another --output")
        rows = output.with_suffix(".jsonl") if suffix in TABLES else output
        rows = rows if part is None else part.output(rows)
        if wanted == "parquet":
            import_parquet()
        return cls(_file(rows), (wanted, _file(rows.with_suffix(f".{wanted}"))) if wanted in TABLES else None)

    def check(self, inputs: Iterable[str]) -> None:
        """Refuse to write over an input.

        Args:
            inputs: names as the user gave them, and paths.

        Raises:
            UsageError: the rows or the table would be written over one of them.
        """
        refuse_inputs([self.rows, None if self.table is None else self.table[1]], inputs)

    def make_table(self) -> None:
        """Bring the table up to date with the rows."""
        if self.table is not None:
            make_table(self.rows, *self.table)


def _file(path: Path) -> Path:
    """Where a link leads, so that the link is not replaced by a file."""
    if os.path.exists(path) and not os.path.isfile(path):
        what = "a folder" if path.is_dir() else "no regular file"
        raise UsageError(f"{path}: is {what}; --output is a file that rows are added to, for example labels.jsonl")
    return behind_links(path)


def run(job: Job, paths: list[VideoPath], outputs: Outputs) -> int:
    """Label what is not labelled; its end is told on stderr.

    Returns:
        How many of the videos have failed, now or before.

    Raises:
        typer.Exit: with 130, it was interrupted.
    """
    with ExitStack() as stack:
        stack.enter_context(locked(outputs.rows))
        recognizers = job.recognizers()
        request = job.request(recognizers[0])
        ledger, todo, failed_before = _what_is_to_do(job, request, paths, outputs.rows)
        with ledger:
            ledger.open()
            tally = Tally(len(todo))
            interrupt = GentleInterrupt(lambda: log.info("finishing the videos that are begun; once more stops now"))
            engine = _engine(job, recognizers, request, lambda: interrupt.wanted)
            with interrupt:
                _label(engine, ledger, todo, tally, (job.limits.worker_count, len(recognizers)))
        outputs.make_table()
        if interrupt.wanted:
            raise typer.Exit(130)
    return tally.failed + failed_before


def _label(engine: Engine, ledger: Ledger, todo: Todo, tally: Tally, width: tuple[int, int]) -> None:
    if not todo:
        return
    try:
        with progress(tally) as listener:
            label(engine, ledger, todo, tally, listener)
    finally:
        for line in summary(tally, *width):
            log.info("%s", line)
        left = tally.total - tally.done - tally.failed
        if left:
            log.info("%d videos are left; the same command goes on with them", left)


def _engine(job: Job, recognizers: list[Recognizer], request: Request, stopping: Callable[[], bool]) -> Engine:
    if job.engine == "ray":
        card = recognizers[0].card
        rules = (card.sampling, card.preprocess)
        return RayEngine(job.loading, rules, request, job.limits, job.gpus, job.ray_address, stopping)
    return LocalEngine(recognizers, request, job.limits, stopping)


def _what_is_to_do(job: Job, request: Request, paths: list[VideoPath], rows: Path) -> tuple[Ledger, Todo, int]:
    """The rows, the videos that have none, and how many of the others have failed."""
    ledger = Ledger(rows)
    if not job.overwrite:
        ledger.read()
    todo = list(ledger.to_do(paths, request, job.retry_failed))
    kept = {str(path) for path in paths} - {str(video) for video, _ in todo}
    failed = sum(request.is_answered_by(head) and head.error is not None for head in ledger.heads if head.video in kept)
    if kept:
        note = f", {failed} of them as failed (--retry-failed tries these again)" if failed else ""
        log.info("%s: %d of %d videos are in it already%s", rows, len(kept), len(paths), note)
    return ledger, todo, failed


def merge(files: list[Path], outputs: Outputs) -> None:
    """Make one file of those named, or of the shards that lie beside it."""
    count, failed = shards.merge(files or shards.shard_files(outputs.rows), outputs.rows)
    log.info("%s: %d rows, %d of them failures", outputs.rows, count, failed)
    outputs.make_table()


def dry_run(job: Job, paths: list[VideoPath], outputs: Outputs) -> None:
    """Say what would be done: files, views, model, and hours, judging by a few that are done for this."""
    recognizers = job.recognizers()
    request = job.request(recognizers[0])
    _, todo, _ = _what_is_to_do(job, request, paths, outputs.rows)
    backend, views = recognizers[0].backend, request.views
    print(f"videos   {len(todo)} of {len(paths)}, into {outputs.rows}")
    print(f"model    {request.model}, {backend.name} {backend.precision} on {backend.device}")
    print(f"views    {views.clips} clips x {views.crops} crops of {views.frames} frames, step {views.step}")
    if not todo:
        return
    tried = todo[:: -(-len(todo) // TRIED)]
    tally = Tally(len(tried))
    for row in LocalEngine(recognizers, request, job.limits, lambda: False)(tried, tally):
        tally.count(row)
    share = len(todo) / len(tried)
    print(f"hours    about {tally.video_seconds * share / 3600:.3g} of video")
    failed = f", {tally.failed} of which failed" if tally.failed else ""
    print(f"time     about {duration(tally.seconds * share)}, judging by {len(tried)} of them{failed}")
