"""``nlvid label``: everything under a folder, in a run that goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nlvid_cli.commands.options import (
    CROPS,
    As,
    BackendChoice,
    Clips,
    Crops,
    Device,
    Model,
    PrecisionName,
    Quiet,
    Verbose,
)

GIB = 1 << 30


def label(
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VIDEO...",
            help='Folders, files, quoted globs, @list.txt, - for a list on stdin, tables with a column "path", '
            "s3://, gs://, hf://, http(s)://.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File of rows; what is in it is not done again.")
    ] = None,
    format_: Annotated[
        Literal["jsonl", "csv", "parquet"] | None,
        typer.Option("--format", "-f", help="Also make this of the rows. Default: as --output is called."),
    ] = None,
    model: Model = None,
    as_name: As = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Labels to tell at most.")] = 5,
    threshold: Annotated[float, typer.Option("--threshold", min=0.0, max=1.0, help="Tell labels from this score.")] = 0,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", metavar="PATTERN", help='Only these labels, e.g. "swim*"; repeatable.'),
    ] = None,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0.0, max=1.0, help='Below this, the answer is "unsure".')
    ] = 0.0,
    clips: Clips = None,
    crops: Crops = None,
    step: Annotated[int | None, typer.Option("--step", min=1, help="Frames from one to the next.")] = None,
    views: Annotated[
        Literal["all", "auto"], typer.Option("--views", help="auto: no more clips when the answer is settled.")
    ] = "all",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try videos again that failed.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Forget what is in the output.")] = False,
    only_say: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and how long.")] = False,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Only part I of N; each writes a file of its own.")
    ] = None,
    merging: Annotated[
        bool, typer.Option("--merge", help="Make one file of those of shards, or of the files named.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes that decode. Default: one per processor.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for decoding one video.")] = 300.0,
    worker_memory: Annotated[
        float, typer.Option("--worker-memory", min=0.1, help="GiB for each process that decodes.")
    ] = 4.0,
    memory: Annotated[float, typer.Option("--memory", min=0.01, help="GiB of decoded frames that may wait.")] = 2.0,
    gpus: Annotated[int | None, typer.Option("--gpus", min=1, help="Use so many GPUs.")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option("--engine", help="This machine, or a Ray cluster (extra ray).")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Of the cluster. Default: one of this machine's own.")
    ] = None,
    backend: BackendChoice = "auto",
    device: Device = "auto",
    precision: PrecisionName = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Label many videos, one JSON line each as it is done.

    The same command goes on where it was stopped. A video that fails is a line with its error; the others go on.

    Examples:

      nlvid label videos/ -o labels.jsonl

      nlvid label "s3://bucket/**/*.mp4" -o labels.parquet --shard 3/8
    """
    from nlvid_cli.commands.label_run import Job, Loading, Outputs, dry_run, merge, run
    from nlvid_cli.errors import UsageError
    from nlvid_cli.labelling.find import find_videos
    from nlvid_cli.labelling.shards import Shard
    from nlvid_cli.pipeline.pipeline import Limits
    from nlvid_cli.pipeline.worker import WorkerLimits
    from nlvid_cli.recognizer import Answer

    if output is None:
        raise UsageError("say with --output where the rows shall go, for example -o labels.jsonl")
    part = Shard.parse(shard) if shard else None
    outputs = Outputs.named(output, format_, part)
    if merging:
        merge([Path(name) for name in videos or []], outputs)
        return
    if not videos:
        raise UsageError("name at least one folder or video")
    loading = Loading(model, as_name, backend, device, precision, clips, CROPS[crops], step)
    answer = Answer(top_k, threshold, tuple(labels) if labels else None, min_score)
    limits = Limits(WorkerLimits(timeout, int(worker_memory * GIB)), workers, int(memory * GIB))
    job = Job(loading, gpus, answer, views == "auto", limits, engine, ray_address, retry_failed, overwrite)
    paths = [path for path in find_videos(videos) if part is None or part.holds(path)]
    if only_say:
        dry_run(job, paths, outputs)
    elif run(job, paths, outputs):
        raise typer.Exit(1)
