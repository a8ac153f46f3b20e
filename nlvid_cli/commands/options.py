"""Options that several commands share; a command's own options are in its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlvid_cli.inputs.times import parse_rate, parse_time

if TYPE_CHECKING:
    from nlvid_cli.inputs.videos import FrameFolders
    from nlvid_cli.video.segment import Stretch

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="Model name, alias, file, hf:// or https address.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Model name, alias, file, hf:// or https address; see `nlvid models list`. Default: the first available.",
        show_default=False,
    ),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="Model whose network, labels and protocol apply, for a file without a model card.",
        show_default=False,
    ),
]
Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        metavar="TIME",
        parser=lambda text: parse_time(text, "--start"),
        help="Begin at this time of each video: 12.5, 0:12.5 or 1:02:03.",
        show_default=False,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        metavar="TIME",
        parser=lambda text: parse_time(text, "--end"),
        help="End before this time.",
        show_default=False,
    ),
]
Frames = Annotated[
    bool, typer.Option("--frames", help="Take folders of pictures as videos: the pictures are their frames.")
]
Fps = Annotated[
    float | None,
    typer.Option(
        "--fps",
        metavar="RATE",
        parser=parse_rate,
        help="Frames per second of folders of frames, such as 25 or 30000/1001. Default: 25, with a warning.",
        show_default=False,
    ),
]
Clips = Annotated[
    int | None, typer.Option("--clips", metavar="N", min=1, help="Clips per video. Default: as published.")
]
Crops = Annotated[Literal["1", "3"] | None, typer.Option("--crops", help="Crops per clip. Default: as published.")]
CROPS: dict[str | None, Literal[1, 3] | None] = {None: None, "1": 1, "3": 3}
"""Values of :data:`Crops` as numbers; choices on the command line are texts."""
FrameStep = Annotated[
    int | None,
    typer.Option("--step", metavar="N", min=1, max=2**20, help="Use every Nth frame of a clip. Default: as published."),
]
LabelPatterns = Annotated[
    list[str] | None,
    typer.Option("--labels", metavar="PATTERN", help='Show only these labels, for example "swim*"; repeatable.'),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k", "-k", metavar="N", min=1, help="Number of labels to show. Default: 5, or all above --threshold."
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", metavar="SCORE", min=0.0, max=1.0, help="Show the labels with at least this score."),
]
MinScore = Annotated[
    float,
    typer.Option(
        "--min-score", metavar="SCORE", min=0.0, max=1.0, help='Report "unsure" if no label reaches this score.'
    ),
]
Backend = Annotated[
    Literal["auto", "torch", "onnx"],
    typer.Option("--backend", help="Backend that runs the network; auto: the faster one on this machine."),
]
Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="Device to run on: auto, cpu, cuda, cuda:1 or mps.")
]
PrecisionName = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option("--precision", help="Numeric precision; auto: the fastest one on the device."),
]
Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="FOLDER", help="Folder that paths in a table are relative to.", show_default=False),
]
SkipMissing = Annotated[bool, typer.Option("--skip-missing", help="Skip videos of a table that do not exist.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Path to write to. Default: stdout.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=1e6, help="Time limit for decoding one video.")
]
WorkerMemory = Annotated[
    float,
    typer.Option("--worker-memory", metavar="GIB", min=0.1, max=1e5, help="Memory limit of each decoding process."),
]

Every = Annotated[
    float | None,
    typer.Option(
        "--every",
        metavar="SECONDS",
        min=0.001,
        max=1e6,
        help="Time from one look at the video to the next. Default: half a clip.",
        show_default=False,
    ),
]
Begin = Annotated[
    float | None,
    typer.Option("--begin", metavar="SCORE", min=0.0, max=1.0, help="Score at which a segment begins.  [default: 0.6]"),
]
Keep = Annotated[
    float | None,
    typer.Option(
        "--keep", metavar="SCORE", min=0.0, max=1.0, help="Score down to which a segment goes on.  [default: 0.4]"
    ),
]
Smooth = Annotated[
    float | None,
    typer.Option(
        "--smooth", metavar="SECONDS", min=0.0, max=1e6, help="Average scores over this time. Default: a clip."
    ),
]
Shortest = Annotated[
    float | None,
    typer.Option(
        "--shortest", metavar="SECONDS", min=0.0, max=1e6, help="Drop shorter segments. Default: half a clip."
    ),
]


def part_of_options(start: float | None, end: float | None) -> Stretch | None:
    """Return the part of a video that ``--start`` and ``--end`` name, in seconds; None if neither is given.

    Raises:
        UsageError: The end is not after the start.
    """
    from nlvid_cli.video.segment import Stretch

    return None if start is end is None else Stretch(start, end)


def frames_of_options(frames: bool, fps: float | None) -> FrameFolders:
    """Return which folders are videos, as ``--frames`` and ``--fps`` say."""
    from nlvid_cli.inputs.videos import FrameFolders

    return FrameFolders(frames, fps)
