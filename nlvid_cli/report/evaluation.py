"""An evaluation as tables and as JSON; ``docs/evaluate.md`` describes the keys."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from nlvid_cli.evaluation.evaluate import ClassRow, Evaluation
from nlvid_cli.recognize.prediction import SCHEMA
from nlvid_cli.report.console import styled
from nlvid_cli.report.table import how_it_was_looked_at, plain_table

FIGURE_NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class_accuracy": "mean class accuracy",
    "mAP": "mAP",
    "mAP_all_videos": "mAP, with videos without a label",
}
"""Names of the figures for people."""

WORST = 10
"""Number of classes and of pairs shown without ``--all-classes``."""


def evaluation_report(evaluation: Evaluation, all_classes: bool, elapsed_seconds: float) -> RenderableType:
    """Return figures, classes from worst to best, confused pairs and calibration.

    Args:
        evaluation: What to show.
        all_classes: Whether to show all classes and pairs, or only the worst.
        elapsed_seconds: Time that the evaluation took.
    """
    count = max(len(evaluation.labels) ** 2, 1) if all_classes else WORST
    parts: list[RenderableType] = [_figures(evaluation), "", _classes(evaluation, count), ""]
    pairs = evaluation.confused_pairs(count)
    if pairs:
        parts += [_pairs(pairs), ""]
    parts.append(styled(how_it_was_looked_at(evaluation, elapsed_seconds), "dim"))
    return Group(*parts, calibration_sentence(evaluation))


def figure_name(evaluation: Evaluation) -> str:
    """Return the name of the figure per class."""
    return "accuracy" if evaluation.label_kind == "single" else "average precision"


def worst_first(evaluation: Evaluation) -> list[ClassRow]:
    """Return the rows of the classes, least accurate first; of equals, those with more videos first."""
    return sorted(evaluation.classes, key=lambda row: (row.figure, -row.videos, row.index))


def calibration_sentence(evaluation: Evaluation) -> str:
    """Return the temperature and its effect, in a sentence."""
    calibration = evaluation.calibration
    if not calibration.determined:
        return f"the videos do not determine a temperature: {_why_undetermined(evaluation)}"
    return (
        f"temperature {calibration.temperature:.3f} calibrates the scores (the card has {calibration.present:.3g}): "
        f"calibration error {percent(calibration.error)} -> {percent(calibration.error_after)}, negative "
        f"log-likelihood {calibration.likelihood:.3f} -> {calibration.likelihood_after:.3f}, on these same videos"
    )


def percent(share: float) -> str:
    """Format a share: ``91.3 %`` for 0.913, and a dash for NaN."""
    return "-" if math.isnan(share) else f"{share * 100:.1f} %"


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the evaluation as plain values, without the scores of each video."""
    return {
        "schema": SCHEMA,
        "model": evaluation.model,
        "backend": evaluation.backend,
        "device": evaluation.device,
        "precision": evaluation.precision,
        "views": asdict(evaluation.views),
        "label_kind": evaluation.label_kind,
        "data_set": evaluation.source,
        "videos": len(evaluation.videos),
        "failed": len(evaluation.failures),
        "figures": {name: _number(value) for name, value in evaluation.figures.items()},
        "calibration": asdict(evaluation.calibration),
        "classes": [asdict(row) for row in evaluation.classes],
        "confused": [
            {"actual": actual, "predicted": predicted, "videos": videos}
            for actual, predicted, videos in evaluation.confused_pairs(len(evaluation.labels) ** 2)
        ],
        "failures": [failure.to_dict() for failure in evaluation.failures],
        "notes": list(evaluation.notes),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _why_undetermined(evaluation: Evaluation) -> str:
    outside = "the one that fits best is more than 20 times as high or low as the card's; use a larger set"
    if evaluation.label_kind == "multi":
        return outside
    total = len(evaluation.videos)
    right = sum(video.predicted in video.actual for video in evaluation.videos)
    if right in (0, total):
        return f"the model is right about {'all' if right else 'none'} of them; use a set with right and wrong answers"
    return f"the model is right about {right} of {total}, and {outside}"


def _figures(evaluation: Evaluation) -> Table:
    table = plain_table(show_header=False)
    for name, value in evaluation.figures.items():
        table.add_row(FIGURE_NAMES[name], percent(value))
    table.add_row("calibration error", percent(evaluation.calibration.error))
    failed = f", {len(evaluation.failures)} failed" if evaluation.failures else ""
    table.add_row("videos", f"{len(evaluation.videos)}{failed} ({evaluation.source})")
    return table


def _classes(evaluation: Evaluation, count: int) -> Table:
    single = evaluation.label_kind == "single"
    shown = worst_first(evaluation)[:count]
    title = (
        "class" if len(shown) == len(evaluation.classes) else f"worst {len(shown)} of {len(evaluation.classes)} classes"
    )
    table = plain_table(title, "videos", figure_name(evaluation), *(["most often predicted instead"] if single else []))
    for row in shown:
        taken = f"{row.confused_with} ({row.confused_videos})" if row.confused_with else ""
        table.add_row(*(row.label, str(row.videos), percent(row.figure), taken)[: 4 if single else 3])
    return table


def _pairs(pairs: tuple[tuple[str, str, int], ...]) -> Table:
    table = plain_table("shown", "predicted", "videos")
    for actual, predicted, videos in pairs:
        table.add_row(actual, predicted, str(videos))
    return table
