"""``nlvid label``: the labels of everything in a folder, in a run that can be stopped and continued."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nlvid_cli.commands.options import (
    CROPS,
    As,
    Backend,
    Begin,
    Clips,
    Crops,
    Device,
    Every,
    Fps,
    Frames,
    FrameStep,
    Keep,
    LabelPatterns,
    MinScore,
    Model,
    PrecisionName,
    Shortest,
    Smooth,
    Threshold,
    Timeout,
    TopK,
    WorkerMemory,
    frames_of_options,
)
from nlvid_cli.errors import UsageError
from nlvid_cli.system.terminal import print_lines

GIB = 1 << 30

Videos = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="VIDEO",
        help="Videos: folders, files, quoted globs, @list.txt, tables of paths, s3://, gs://, hf:// and "
        "http(s):// addresses, or - for a list on stdin.",
        show_default=False,
    ),
]
Rows = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="File to add rows to (required); videos in it are not labelled again."
    ),
]
TableFormat = Annotated[
    Literal["jsonl", "csv", "parquet"] | None,
    typer.Option("--format", "-f", help="Also write this format. Default: by the name of --output."),
]
ClipChoice = Annotated[
    Literal["all", "auto"], typer.Option("--views", help="Look at all clips; or auto: stop once the answer is settled.")
]
WithSegments = Annotated[
    bool,
    typer.Option(
        "--timeline", help="Look at videos from start to end, and write what happens when, as `nlvid timeline`."
    ),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try failed videos again.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Ignore the rows in the output and start again.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, and how long it would take.")]
ShardName = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Label part I of N; each part writes its own file.")
]
Merge = Annotated[bool, typer.Option("--merge", help="Merge the files of all shards, or the files named, into one.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=1, max=4096, help="Number of decoding processes. Default: one per processor."
    ),
]
Memory = Annotated[
    float,
    typer.Option(
        "--memory",
        metavar="GIB",
        min=0.01,
        max=1e5,
        help="Memory limit of the decoded frames that wait for the network.",
    ),
]
Gpus = Annotated[int | None, typer.Option("--gpus", metavar="N", min=1, help="Number of GPUs to use.")]
EngineName = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="Run on this machine, or on a Ray cluster (extra: ray).")
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", metavar="ADDRESS", help="Address of the Ray cluster. Default: start one here."),
]


def label(
    videos: Videos = None,
    output: Rows = None,
    frames: Frames = False,
    fps: Fps = None,
    format_: TableFormat = None,
    model: Model = None,
    as_name: As = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    labels: LabelPatterns = None,
    min_score: MinScore = 0.0,
    clips: Clips = None,
    crops: Crops = None,
    step: FrameStep = None,
    views: ClipChoice = "all",
    timeline: WithSegments = False,
    every: Every = None,
    begin: Begin = None,
    keep: Keep = None,
    smooth: Smooth = None,
    shortest: Shortest = None,
    retry_failed: RetryFailed = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    shard: ShardName = None,
    merge: Merge = False,
    workers: Workers = None,
    timeout: Timeout = 300.0,
    worker_memory: WorkerMemory = 4.0,
    memory: Memory = 2.0,
    gpus: Gpus = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Label many videos.

    Each video becomes a JSON line in the output as soon as it is done; a video that fails becomes a line with its
    error. After a stop, run the same command again to continue.

    Examples:

      nlvid label videos/ -o labels.jsonl

      nlvid label "s3://bucket/**/*.mp4" -o labels.parquet --shard 3/8

      nlvid label matches/ --timeline -o segments.jsonl
    """
    from nlvid_cli.commands.loading import Loading
    from nlvid_cli.commands.progress import label_progress
    from nlvid_cli.inputs.videos import find_segments
    from nlvid_cli.labelling import job
    from nlvid_cli.labelling.output_files import OutputFiles
    from nlvid_cli.labelling.shards import Shard
    from nlvid_cli.recognize.answer import Answer
    from nlvid_cli.recognize.pipeline.pipeline import Limits
    from nlvid_cli.recognize.pipeline.worker import WorkerLimits
    from nlvid_cli.recognize.timeline_run import RuleOptions
    from nlvid_cli.report.labelling import estimate_lines

    if output is None:
        raise UsageError("name the file for the rows with --output, for example -o labels.jsonl")
    part = Shard.parse(shard) if shard else None
    files = OutputFiles.of_options(output, format_, part)
    if merge:
        _require_merge_alone(dry_run=dry_run, shard=part is not None, overwrite=overwrite)
        job.merge([Path(name) for name in videos or []], files)
        return
    if not videos:
        raise UsageError("name at least one folder or video")
    rule: RuleOptions | None = RuleOptions(every, smooth, begin, keep, shortest)
    if timeline and clips is not None:
        raise UsageError("--clips and --timeline exclude each other: --every says how often a timeline looks")
    if not timeline:
        if rule != RuleOptions():
            raise UsageError("--every, --begin, --keep, --smooth and --shortest need --timeline")
        rule = None
    loading = Loading(model, as_name, backend, device, precision, clips, CROPS[crops], step)
    answer = Answer.of_options(top_k, threshold, labels, min_score)
    limits = Limits(WorkerLimits(timeout, int(worker_memory * GIB)), workers, int(memory * GIB))
    todo = job.LabelJob(
        loading, gpus, answer, views == "auto", limits, engine, ray_address, retry_failed, overwrite, rule
    )
    named = find_segments(videos, frames=frames_of_options(frames, fps))
    segments = [segment for segment in named if part is None or part.holds(segment)]
    files.refuse_inputs([*videos, *(str(segment.path) for segment in segments)])
    if dry_run:
        print_lines(estimate_lines(job.estimate(todo, segments, files)))
        return
    finished = job.run(todo, segments, files, label_progress)
    if finished.interrupted or finished.failed:
        raise typer.Exit(130 if finished.interrupted else 1)


def _require_merge_alone(**others: bool) -> None:
    given = [f"--{name.replace('_', '-')}" for name, is_given in others.items() if is_given]
    if given:
        raise UsageError(f"--merge cannot be combined with {' and '.join(given)}")
