"""``nlvid timeline``: what happens when in long videos."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlvid_cli.commands.options import (
    CROPS,
    As,
    Backend,
    Begin,
    Crops,
    Device,
    End,
    Every,
    Fps,
    Frames,
    FrameStep,
    Keep,
    LabelPatterns,
    Model,
    Output,
    PrecisionName,
    Shortest,
    Smooth,
    Start,
    Timeout,
    TopK,
    WorkerMemory,
    frames_of_options,
    part_of_options,
)
from nlvid_cli.system.terminal import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nlvid_cli.recognize.timeline import Timeline, TimelineResult
    from nlvid_cli.recognize.timeline_run import Progress
    from nlvid_cli.report.console import Spinner
    from nlvid_cli.report.output import Report
    from nlvid_cli.report.timeline.extras import Extra
    from nlvid_cli.system.interrupts import GentleInterrupt

log = logging.getLogger(__name__)

GIB = 1 << 30

Videos = Annotated[
    list[str],
    typer.Argument(
        metavar="VIDEO",
        help="Videos: files, folders, globs, @list.txt, tables of paths, addresses, or - for a list on stdin.",
        show_default=False,
    ),
]
SegmentScore = Annotated[
    float,
    typer.Option("--min-score", metavar="SCORE", min=0.0, max=1.0, help="Drop segments with a lower mean score."),
]
Format = Annotated[
    Literal["table", "json", "jsonl", "csv", "srt", "vtt"],
    typer.Option("--format", "-f", help="Format of the output; srt and vtt are subtitles, a file per video."),
]
Scores = Annotated[
    Path | None,
    typer.Option(
        "--scores",
        metavar="FILE",
        help="Also write the scores of all labels over time: .npz or .csv; or a folder for several videos.",
        show_default=False,
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Also write a page that plays the video with its segments; or a folder for several videos.",
        show_default=False,
    ),
]

Video = Annotated[
    Path | None,
    typer.Option(
        "--video",
        metavar="FILE",
        help="Also write the video with its labels drawn on it: .mp4, .webm, .gif or .webp; or a folder for several "
        "videos.",
        show_default=False,
    ),
]
LabelFont = Annotated[
    Path | None,
    typer.Option(
        "--font", metavar="FILE", help="Font of the labels in --video: .ttf, .otf or .ttc.", show_default=False
    ),
]


def timeline(
    videos: Videos,
    start: Start = None,
    end: End = None,
    frames: Frames = False,
    fps: Fps = None,
    model: Model = None,
    as_name: As = None,
    every: Every = None,
    labels: LabelPatterns = None,
    top_k: TopK = None,
    min_score: SegmentScore = 0.0,
    begin: Begin = None,
    keep: Keep = None,
    smooth: Smooth = None,
    shortest: Shortest = None,
    crops: Crops = None,
    step: FrameStep = None,
    format_: Format = "table",
    output: Output = None,
    scores: Scores = None,
    html: Html = None,
    video: Video = None,
    font: LabelFont = None,
    timeout: Timeout = 300.0,
    worker_memory: WorkerMemory = 4.0,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Find what happens when in long videos.

    Ctrl-C ends the videos in progress where they are; what was found until then is reported.

    Examples:

      nlvid timeline match.mp4

      nlvid timeline match.mp4 --start 1:00:00 --html match.html -f srt -o match.srt
    """
    from nlvid_cli.commands.loading import Loading
    from nlvid_cli.inputs.videos import find_segments, is_one_video
    from nlvid_cli.recognize.answer import Answer
    from nlvid_cli.recognize.pipeline.pipeline import Limits
    from nlvid_cli.recognize.pipeline.worker import WorkerLimits
    from nlvid_cli.recognize.timeline_run import RuleOptions
    from nlvid_cli.report.timeline import open_timeline_report, subtitle_files
    from nlvid_cli.report.timeline.extras import page_extra, paths_of, scores_extra, video_extra
    from nlvid_cli.system.overwrite import refuse_inputs

    rule = RuleOptions(every, smooth, begin, keep, shortest)
    segments = find_segments(videos, part_of_options(start, end), frames_of_options(frames, fps))
    single = is_one_video(videos, segments)
    extras = [scores_extra(segments, scores, single)] if scores else []
    extras += [page_extra(segments, html, single)] if html else []
    extras += [video_extra(segments, video, single, font, log.warning)] if video else []
    subtitles = subtitle_files(format_, segments, output, single)
    outputs = [*paths_of(extras), *([output] if subtitles is None else subtitles.values())]
    refuse_inputs(outputs, [*videos, *(str(segment.path) for segment in segments), model or ""])
    recognizer = Loading(model, as_name, backend, device, precision, None, CROPS[crops], step).load()
    answer = Answer.of_options(top_k, None, labels, min_score)
    limits = Limits(WorkerLimits(timeout, int(worker_memory * GIB)))
    run = partial(recognizer.timeline_many, segments, answer, rule, limits)
    with open_timeline_report(format_, output, segments, single) as report:
        failures, stopped = _report_all(run, len(segments), report, extras)
        if stopped and not report.count:
            raise KeyboardInterrupt  # so that no empty file is left
    if failures and len(segments) > 1:
        tell(f"{failures} of {len(segments)} videos failed")
    if failures or stopped:
        raise typer.Exit(130 if stopped else 1)


def _report_all(
    run: Callable[[Progress, Callable[[], bool]], Iterator[TimelineResult]],
    count: int,
    report: Report[TimelineResult],
    extras: Sequence[Extra],
) -> tuple[int, bool]:
    """Report each video when it is done; return the number of failures, and whether the user stopped the run."""
    from nlvid_cli.recognize.prediction import Failure
    from nlvid_cli.report.console import Spinner
    from nlvid_cli.report.table import failure_line
    from nlvid_cli.system.interrupts import GentleInterrupt

    failures = 0
    interrupt = GentleInterrupt(lambda: log.info("ending here; Ctrl-C again stops without a result"))
    with interrupt, Spinner("looking at the video" if count == 1 else f"looking at {count} videos") as status:
        started = time.perf_counter()

        def show(video: str, done_seconds: float, all_seconds: float) -> None:
            where = f"{_clock(done_seconds)} of {_clock(all_seconds)}"
            status.show(where if count == 1 else f"video {report.count + 1} of {count}: {video}, {where}")

        for result in run(show, lambda: interrupt.wanted):
            status.stop()
            report.add(result, time.perf_counter() - started)
            started = time.perf_counter()
            if isinstance(result, Failure):
                failures += 1
                tell(failure_line(result))
            else:
                failures += not _write_extras(result, extras, status, interrupt)
            if report.count < count:
                status.start()
    return failures, interrupt.wanted


def _write_extras(timeline: Timeline, extras: Sequence[Extra], status: Spinner, interrupt: GentleInterrupt) -> bool:
    """Write all other files of a video; return whether it could be done. What could not does not stop the others."""
    from nlvid_cli.errors import NlvidError, VideoError

    def watch(path: Path, done_seconds: float, all_seconds: float) -> None:
        if interrupt.wanted:
            raise KeyboardInterrupt
        status.show(f"writing {path.name}, {_clock(done_seconds)} of {_clock(all_seconds)}")
        status.start()

    problems, stopped = [], []
    for extra in extras:
        path = extra.files[timeline.video]
        try:
            extra.add(timeline, partial(watch, path))
        except NlvidError as error:
            about = f"{timeline.video}: " if isinstance(error, VideoError) else ""
            problems.append(f"error: {about}{error}")
        except KeyboardInterrupt:
            stopped.append(f"note: {path}: not written, because the run was stopped")
    status.stop()
    for line in problems + stopped:
        tell(line)
    return not problems


def _clock(seconds: float) -> str:
    from nlvid_cli.report.table import clock_time

    return clock_time(seconds).split(".")[0]
