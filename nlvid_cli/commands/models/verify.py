"""``nlvid models verify``: whether a model computes what it should on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from nlvid_cli.commands.options import As, AsJson, Device, ModelName
from nlvid_cli.errors import ReferenceMismatch

if TYPE_CHECKING:
    from nlvid_cli.backends import Precision
    from nlvid_cli.backends.verification import Comparison
    from nlvid_cli.card.card import Card

Precisions = Annotated[
    list[str] | None,
    typer.Option(
        "--precision",
        metavar="PRECISION",
        help="Only fp32, bf16 or fp16; repeatable. Default: all that the device, or the ONNX file, supports.",
    ),
]
Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE.npz", help="Your own references: seed, logits_1x3x8x224x224, ..."),
]


def verify(
    model: ModelName,
    as_name: As = None,
    precisions: Precisions = None,
    device: Device = "auto",
    against: Against = None,
    as_json: AsJson = False,
) -> None:
    """Compare a model with reference outputs.

    Runs the model in each backend and precision. The reference outputs come from the original implementation where
    available, and otherwise from the plain network in fp32. The exit status is 3 if a difference exceeds its
    tolerance.

    Examples:

      nlvid models verify i3d

      nlvid models verify model.onnx --precision fp32 --against reference.npz
    """
    from nlvid_cli.commands.progress import DownloadBar
    from nlvid_cli.models.find import find_model
    from nlvid_cli.report.console import Spinner
    from nlvid_cli.report.stdout import print_json_or
    from nlvid_cli.report.verification import verification_json, verification_table

    card, path = find_model(model, as_name, DownloadBar(), onnx=True)
    with Spinner(f"verifying {card.name}"):
        rows = _compare(card, path, device, cast("list[Precision]", precisions or []), against)
    print_json_or(as_json, lambda: verification_json(rows), lambda: verification_table(rows))
    _require_passed(card, rows)


def _compare(
    card: Card, path: Path, device: str, precisions: list[Precision], against: Path | None
) -> tuple[Comparison, ...]:
    """Compare an ONNX file with ONNX Runtime; any other with torch, and its exported file in the cache too."""
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


def _require_passed(card: Card, rows: tuple[Comparison, ...]) -> None:
    failed = [row for row in rows if not row.passed]
    if failed:
        worst = max(failed, key=lambda row: row.relative_difference)
        raise ReferenceMismatch(
            f"{card.name}: {len(failed)} of {len(rows)} comparisons are out of tolerance; in {worst.precision}, "
            f"outputs differ by {worst.relative_difference:.2g} of the largest logit, and {worst.tolerance:.0e} is "
            "allowed; download the model again, and if that does not help, report it with the output of `nlvid doctor`"
        )
