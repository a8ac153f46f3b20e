"""``nlvid export``: a model as an ONNX file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nlvid_cli.commands.options import As, AsJson, Device, Quiet, Verbose

if TYPE_CHECKING:
    from nlvid_cli.onnx_export import Exported


def export(
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Name or alias, file, hf:// or https address.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.onnx",
            help="File to write. Default, for a named model: the cache, where --backend onnx finds it.",
            show_default=False,
        ),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="As an ONNX file, which is the one form there is.")] = True,
    as_name: As = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option("--precision", help="What the file computes in.")
    ] = "fp32",
    calibrate: Annotated[
        list[str] | None,
        typer.Option("--calibrate", metavar="FOLDER", help="Videos for int8, or a folder of them; repeatable."),
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Fix frames, height and width, which some runtimes need or like.")
    ] = False,
    with_preprocess: Annotated[
        bool, typer.Option("--with-preprocess", help="Take uint8 pixels (N, T, H, W, 3) and normalise in the graph.")
    ] = False,
    clip: Annotated[
        str | None, typer.Option("--clip", metavar="VIDEO", help="Compare on this video too.", show_default=False)
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Export a model to ONNX, for machines without torch and for other programs; prints the path of the new file.

    The file holds weights, labels, protocol and card. It is compared with torch at two sizes and batches and timed; if
    it differs, there is no file and the exit status is 3.

    Examples:

      nlvid export --onnx --model i3d -o i3d.onnx

      nlvid export --onnx --model i3d --precision int8 --calibrate clips/ -o i3d-int8.onnx
    """
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar, spinner
    from nlvid_cli.inputs.videos import find_videos
    from nlvid_cli.onnx_export import export_onnx
    from nlvid_cli.system.interrupts import sigterm_as_ctrl_c

    with sigterm_as_ctrl_c(), spinner(f"exporting {model}"):
        exported = export_onnx(
            model,
            output,
            as_name=as_name,
            precision=precision,
            static=static,
            with_preprocess=with_preprocess,
            calibrate=find_videos(calibrate) if calibrate else (),
            video=clip,
            device=device,
            progress=DownloadBar(),
        )
    for sentence in _told(exported):
        log.info("%s", sentence)
    print(json.dumps(_record(exported), indent=2) if as_json else exported.path)


def _told(exported: Exported) -> list[str]:
    worst = max(exported.comparisons, key=lambda row: row.relative_difference)
    same = sum(row.same_top5 for row in exported.comparisons)
    sizes = ", ".join("x".join(map(str, row.shape)) for row in exported.comparisons)
    return [
        f"{exported.path}: {exported.size_bytes / 1e6:.1f} MB, {exported.precision}",
        f"outputs differ from torch's by {worst.relative_difference:.1e} of the largest logit at most; the five best "
        f"labels are the same in {same} of {len(exported.comparisons)} comparisons ({sizes})",
        *([] if exported.speed is None else [exported.speed.sentence()]),
    ]


def _record(exported: Exported) -> dict[str, Any]:
    rows = [
        {**asdict(row), "relative_difference": row.relative_difference, "passed": row.passed}
        for row in exported.comparisons
    ]
    return {
        "path": str(exported.path),
        "model": exported.card.name,
        "precision": exported.precision,
        "size_bytes": exported.size_bytes,
        "comparisons": rows,
        "speed": None if exported.speed is None else asdict(exported.speed),
    }
