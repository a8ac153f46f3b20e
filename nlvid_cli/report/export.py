"""The result of ``nlvid export``: a few lines, or JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nlvid_cli.onnx_export import Exported
from nlvid_cli.report.verification import verification_json


def export_lines(exported: Exported) -> list[str]:
    """Return size, largest difference from torch, and speed, a line each."""
    worst = max(exported.comparisons, key=lambda row: row.relative_difference)
    same = sum(row.same_top5 for row in exported.comparisons)
    sizes = ", ".join("x".join(map(str, row.shape)) for row in exported.comparisons)
    difference = exported.features_difference
    return [
        f"{exported.path}: {exported.size_bytes / 1e6:.1f} MB, {exported.precision}",
        f"outputs differ from those of torch by at most {worst.relative_difference:.1e} of the largest logit; the "
        f"top-5 labels are the same in {same} of {len(exported.comparisons)} comparisons ({sizes})",
        *([] if difference is None else [f"features and attention differ by at most {difference:.1e} of the largest"]),
        *([] if exported.speed is None else [exported.speed.sentence()]),
    ]


def export_json(exported: Exported) -> dict[str, Any]:
    """Return path, size, comparisons and speed as plain values, and the difference of features if there are any."""
    difference = exported.features_difference
    return {
        "path": str(exported.path),
        "model": exported.card.name,
        "precision": exported.precision,
        "size_bytes": exported.size_bytes,
        "comparisons": verification_json(exported.comparisons),
        "speed": None if exported.speed is None else asdict(exported.speed),
        **({} if difference is None else {"features_difference": difference}),
    }
