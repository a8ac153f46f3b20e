"""``nlvid classify``: the labels of one or more videos."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlvid_cli.commands.options import (
    CROPS,
    As,
    Backend,
    Clips,
    Crops,
    Device,
    End,
    Fps,
    Frames,
    FrameStep,
    LabelPatterns,
    MinScore,
    Model,
    Output,
    PrecisionName,
    Start,
    Threshold,
    TopK,
    frames_of_options,
    part_of_options,
)
from nlvid_cli.system.terminal import tell

if TYPE_CHECKING:
    from nlvid_cli.recognize.prediction import Result
    from nlvid_cli.report import ReportOptions

Videos = Annotated[
    list[str],
    typer.Argument(
        metavar="VIDEO",
        help="Videos: files, folders, globs, @list.txt, tables of paths, addresses, or - for a list on stdin.",
        show_default=False,
    ),
]
Timeline = Annotated[bool, typer.Option("--timeline", help="Show the best label of each clip too.")]
Format = Annotated[
    Literal["table", "json", "jsonl", "csv"], typer.Option("--format", "-f", help="Format of the output.")
]


def classify(
    videos: Videos,
    start: Start = None,
    end: End = None,
    frames: Frames = False,
    fps: Fps = None,
    model: Model = None,
    as_name: As = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    timeline: Timeline = False,
    labels: LabelPatterns = None,
    min_score: MinScore = 0.0,
    clips: Clips = None,
    crops: Crops = None,
    step: FrameStep = None,
    format_: Format = "table",
    output: Output = None,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Name the actions in videos.

    Examples:

      nlvid classify video.mp4

      nlvid classify clips/ --model i3d --top-k 3 --format jsonl -o labels.jsonl

      nlvid classify match.mp4 --start 1:02:03 --end 1:02:13
    """
    from nlvid_cli.commands.loading import Loading
    from nlvid_cli.inputs.videos import find_segments, is_one_video
    from nlvid_cli.recognize.answer import Answer
    from nlvid_cli.report import ReportOptions
    from nlvid_cli.system.overwrite import refuse_inputs

    segments = find_segments(videos, part_of_options(start, end), frames_of_options(frames, fps))
    refuse_inputs([output], [*videos, *(str(segment.path) for segment in segments), model or ""])
    recognizer = Loading(model, as_name, backend, device, precision, clips, CROPS[crops], step).load()
    answer = Answer.of_options(top_k, threshold, labels, min_score)
    options = ReportOptions(timeline, is_one_video(videos, segments))
    failures = _report_all(recognizer.classify_many(segments, answer), len(segments), format_, output, options)
    if failures:
        if len(segments) > 1:
            tell(f"{failures} of {len(segments)} videos failed")
        raise typer.Exit(1)


def _report_all(
    results: Iterable[Result], count: int, format_: str, output: Path | None, options: ReportOptions
) -> int:
    """Report each video when it is done, failures on stderr too; return the number of failures."""
    from nlvid_cli.recognize.prediction import Failure
    from nlvid_cli.report.console import Spinner
    from nlvid_cli.report.output import open_report
    from nlvid_cli.report.table import failure_line
    from nlvid_cli.system.interrupts import Interrupts, sigterm_as_ctrl_c

    failures = 0
    with (
        Interrupts() as interrupts,
        sigterm_as_ctrl_c(),
        open_report(format_, output, options) as report,
        Spinner(f"classifying {count} videos" if count > 1 else "classifying the video") as status,
    ):
        started = time.perf_counter()
        for number, result in enumerate(results, start=1):
            status.stop()
            report.add(result, time.perf_counter() - started)
            interrupts.check()
            started = time.perf_counter()
            if isinstance(result, Failure):
                failures += 1
                tell(failure_line(result))
            if number < count:
                status.show(f"video {number + 1} of {count}")
                status.start()
    return failures
