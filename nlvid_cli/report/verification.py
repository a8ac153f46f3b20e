"""The comparisons of ``nlvid models verify``: a table, or JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.table import Table

from nlvid_cli.backends.verification import Comparison
from nlvid_cli.report.table import plain_table


def verification_json(rows: Iterable[Comparison]) -> list[dict[str, Any]]:
    """Return the comparisons as plain values."""
    return [{**asdict(row), "relative_difference": row.relative_difference, "passed": row.passed} for row in rows]


def verification_table(rows: Iterable[Comparison]) -> Table:
    """Return a row per comparison."""
    table = plain_table(
        "reference", "input", "backend", "device", "precision", "logits", "relative", "scores", "top-5", "verdict"
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
    return table
