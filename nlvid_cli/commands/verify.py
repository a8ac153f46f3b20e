"""``nlvid models verify``: whether a model computes here what it should."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from nlvid_cli.commands.options import As, AsJson, Device, Quiet, Verbose

if TYPE_CHECKING:
    from nlvid_cli.backends import Precision
    from nlvid_cli.backends.verification import Comparison
    from nlvid_cli.card.card import Card


def verify(
    name: Annotated[str, typer.Argument(help="Name or alias (see `nlvid models list`), file, hf:// or https address.")],
    as_name: As = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            help="Only fp32, bf16 or fp16; repeatable. Default: all that the device, or an ONNX file, has.",
        ),
    ] = None,
    device: Device = "auto",
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE.npz", help="References of your own: seed, logits_1x3x8x224x224, ..."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Replay reference inputs and compare, for each backend and precision.

    The reference is what the original implementation computed, where nlvid has that; else the network as it is
    written, in fp32, without what makes it fast. Exit status 3 if a difference is larger than it may be.

    Examples:

      nlvid models verify i3d

      nlvid models verify model.safetensors --precision fp32 --against reference.npz

      nlvid models verify model.onnx
    """
    from nlvid_cli.commands.options import log
    from nlvid_cli.commands.progress import DownloadBar, spinner
    from nlvid_cli.errors import ReferenceMismatch
    from nlvid_cli.models.find import find_model

    card, path = find_model(name, as_name, DownloadBar(), log.info, onnx=True)
    with spinner(f"replaying the references of {card.name}"):
        rows = _compare_all(card, path, device, cast("list[Precision]", precisions or []), against)
    if as_json:
        print(json.dumps([_record(row) for row in rows], indent=2))
    else:
        _print(rows)
    failed = [row for row in rows if not row.passed]
    if failed:
        worst = max(failed, key=lambda row: row.relative_difference)
        raise ReferenceMismatch(
            f"{card.name}: {len(failed)} of {len(rows)} comparisons are out of tolerance; in {worst.precision}, "
            f"outputs differ by {worst.relative_difference:.2g} of the largest logit, and {worst.tolerance:.0e} is "
            "allowed; fetch the model again, and if that does not help, report it with the output of `nlvid doctor`"
        )


def _compare_all(
    card: Card, path: Path, device: str, precisions: list[Precision], against: Path | None
) -> tuple[Comparison, ...]:
    """An ONNX file with ONNX Runtime; a model with torch, and its exported file in the cache with ONNX Runtime."""
    from nlvid_cli.backends.choose import usable_export
    from nlvid_cli.backends.verification import verify, verify_onnx
    from nlvid_cli.models.model_file import open_checkpoint
    from nlvid_cli.models.onnx_file.read import is_onnx_name

    if is_onnx_name(path.name):
        return verify_onnx(card, path, device, precisions, against)
    rows = verify(card, open_checkpoint(path)[1], device, precisions, against)
    exported = usable_export(card, path)
    if exported is None or (precisions and "fp32" not in precisions):
        return rows
    return rows + verify_onnx(card, exported, device, against=against)


def _record(row: Comparison) -> dict[str, object]:
    return {**asdict(row), "relative_difference": row.relative_difference, "passed": row.passed}


def _print(rows: tuple[Comparison, ...]) -> None:
    from nlvid_cli.report.table import plain_table, stdout_console

    table = plain_table(
        "reference", "input", "backend", "device", "precision", "logits", "of the largest", "scores", "top-5", "verdict"
    )
    for row in rows:
        table.add_row(
            row.reference,
            "x".join(map(str, row.shape)),
            row.backend,
            row.device,
            row.precision,
            f"{row.logits_difference:.1e}",
            f"{row.relative_difference:.1e}",
            "" if row.scores_difference is None else f"{row.scores_difference:.1e}",
            "same" if row.same_top5 else "differ",
            "good" if row.passed else f"over {row.tolerance:.0e}",
        )
    stdout_console().print(table)
