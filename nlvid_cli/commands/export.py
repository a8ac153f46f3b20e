"""``nlvid export``: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nlvid_cli.commands.logs import log
from nlvid_cli.commands.options import As, AsJson, Device
from nlvid_cli.system.terminal import print_lines

RequiredModel = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="MODEL", help="Model name, alias, file, hf:// or https address.", show_default=False
    ),
]
OnnxFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE.onnx",
        help="Path to write to. Default for a named model: the cache, where --backend onnx finds it.",
        show_default=False,
    ),
]
Onnx = Annotated[bool, typer.Option("--onnx", help="Write ONNX, the only format.", show_default=False)]
FilePrecision = Annotated[
    Literal["fp32", "fp16", "int8"], typer.Option("--precision", help="Numeric precision of the file.")
]
Calibrate = Annotated[
    list[str] | None,
    typer.Option("--calibrate", metavar="VIDEO", help="Videos or folders to calibrate int8 with; repeatable."),
]
Static = Annotated[
    bool, typer.Option("--static", help="Fix the number of frames and the frame size, as some runtimes require.")
]
WithPreprocess = Annotated[
    bool, typer.Option("--with-preprocess", help="Take uint8 pixels (N, T, H, W, 3), and normalise in the graph.")
]
WithFeatures = Annotated[
    bool, typer.Option("--features", help="Also return the last feature map, and attention of the non-local blocks.")
]
Clip = Annotated[
    str | None,
    typer.Option("--clip", metavar="VIDEO", help="Also compare with torch on this video.", show_default=False),
]


def export(
    model: RequiredModel,
    output: OnnxFile = None,
    onnx: Onnx = True,
    as_name: As = None,
    precision: FilePrecision = "fp32",
    calibrate: Calibrate = None,
    static: Static = False,
    with_preprocess: WithPreprocess = False,
    features: WithFeatures = False,
    clip: Clip = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Export a model to ONNX.

    Prints the path of the file, which runs without torch and in other programs. It holds weights, labels, protocol
    and card. It is compared with torch at two sizes and batches, and timed. If it differs, no file is written and
    the exit status is 3.

    Examples:

      nlvid export --model i3d -o i3d.onnx

      nlvid export -m i3d --precision int8 --calibrate clips/ -o i3d-int8.onnx
    """
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.inputs.videos import find_videos
    from nlvid_cli.onnx_export import export_onnx
    from nlvid_cli.report.console import Spinner
    from nlvid_cli.report.export import export_json, export_lines
    from nlvid_cli.report.stdout import print_json
    from nlvid_cli.system.interrupts import sigterm_as_ctrl_c

    with sigterm_as_ctrl_c(), Spinner(f"exporting {model}"):
        exported = export_onnx(
            model,
            output,
            as_name=as_name,
            precision=precision,
            static=static,
            with_preprocess=with_preprocess,
            features=features,
            calibrate=find_videos(calibrate) if calibrate else (),
            video=clip,
            device=device,
            progress=DownloadBar(),
        )
    for line in export_lines(exported):
        log.info("%s", line)
    if as_json:
        print_json(export_json(exported))
    else:
        print_lines([str(exported.path)])
