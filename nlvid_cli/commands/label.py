"""``nlvid label``: everything under a folder, in a run that goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import typer

from nlvid_cli.commands import label_options as options
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
    PrecisionName,
    Quiet,
    Step,
    Threshold,
    TopK,
    Verbose,
)

GIB = 1 << 30


def label(
    videos: options.Videos = None,
    output: options.Rows = None,
    format_: options.TableFormat = None,
    model: Model = None,
    as_name: As = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    labels: Labels = None,
    min_score: MinScore = 0.0,
    clips: Clips = None,
    crops: Crops = None,
    step: Step = None,
    views: options.Views = "all",
    retry_failed: options.RetryFailed = False,
    overwrite: options.Overwrite = False,
    only_say: options.DryRun = False,
    shard: options.ShardName = None,
    merging: options.Merge = False,
    workers: options.Workers = None,
    timeout: options.Timeout = 300.0,
    worker_memory: options.WorkerMemory = 4.0,
    memory: options.Memory = 2.0,
    gpus: options.Gpus = None,
    engine: options.EngineName = "local",
    ray_address: options.RayAddress = None,
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
    from nlvid_cli.commands.label_run import Job, Outputs, dry_run, merge, run
    from nlvid_cli.commands.loading import Loading
    from nlvid_cli.errors import UsageError
    from nlvid_cli.inputs.videos import find_videos
    from nlvid_cli.labelling.shards import Shard
    from nlvid_cli.recognize.answer import Answer
    from nlvid_cli.recognize.pipeline.pipeline import Limits
    from nlvid_cli.recognize.pipeline.worker import WorkerLimits

    if output is None:
        raise UsageError("say with --output where the rows shall go, for example -o labels.jsonl")
    part = Shard.parse(shard) if shard else None
    outputs = Outputs.named(output, format_, part)
    if merging:
        if only_say or part or overwrite:
            raise UsageError("--merge goes with none of --dry-run, --shard and --overwrite; leave these out")
        merge([Path(name) for name in videos or []], outputs)
        return
    if not videos:
        raise UsageError("name at least one folder or video")
    loading = Loading(model, as_name, backend, device, precision, clips, CROPS[crops], step)
    answer = Answer.of_options(top_k, threshold, labels, min_score)
    limits = Limits(WorkerLimits(timeout, int(worker_memory * GIB)), workers, int(memory * GIB))
    job = Job(loading, gpus, answer, views == "auto", limits, engine, ray_address, retry_failed, overwrite)
    paths = [path for path in find_videos(videos) if part is None or part.holds(path)]
    outputs.check([*videos, *map(str, paths)])
    if only_say:
        dry_run(job, paths, outputs)
    elif run(job, paths, outputs):
        raise typer.Exit(1)
