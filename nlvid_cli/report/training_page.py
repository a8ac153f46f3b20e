"""The page of a training run: its curves, and the evaluation of the trained model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlvid_cli.evaluation.evaluate import Evaluation
from nlvid_cli.report.curves import Chart, Curve, chart
from nlvid_cli.report.evaluation import FIGURE_NAMES
from nlvid_cli.report.evaluation_page import Thumbnail, evaluation_values
from nlvid_cli.report.page import write_page

if TYPE_CHECKING:
    from nlvid_cli.training.run import TrainingResult


@dataclass(frozen=True)
class ChartRule:
    """What a chart shows: the (type, key) of rows of metrics.jsonl, and the name of each curve."""

    title: str
    values: Mapping[tuple[str, str], str]
    shares: bool = False


CHARTS = (
    ChartRule("Loss", {("step", "loss"): "each step", ("epoch", "train_loss"): "mean of the epoch"}),
    ChartRule(
        "Figures",
        {("epoch", "train_figure"): "training clips"}
        | {("epoch", f"figures.{name}"): f"{shown}, validation" for name, shown in FIGURE_NAMES.items()},
        shares=True,
    ),
    ChartRule("Learning rate", {("step", "learning_rate"): "learning rate"}),
    ChartRule("Clips per second", {("step", "clips_per_second"): "clips per second"}),
    ChartRule("Time spent waiting for clips", {("step", "data_wait"): "share of the time"}, shares=True),
)
"""Charts of a run; one without values is left out."""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """What the page of a training run shows.

    Attributes:
        title: Title of the page, for example the name of the model.
        facts: Name and value of what the run was: base, recipe, data.
        rows: Rows of metrics.jsonl, each with ``type``, ``step`` and its values.
        evaluation: Evaluation of the trained model on the validation videos; None if there are none.
        bad: Path and error of the training videos that could not be used.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    rows: Sequence[Mapping[str, Any]]
    evaluation: Evaluation | None = None
    bad: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, result: TrainingResult) -> TrainingRun:
        """Collect what the page of a finished run shows."""
        from nlvid_cli.training.records import read_rows

        return cls(
            title=result.card.name,
            facts=(
                ("model", result.card.summary),
                ("made by", result.card.origin),
                ("recipe", result.recipe.describe()),
            ),
            rows=read_rows(result.folder),
            evaluation=result.evaluation,
            bad=tuple(result.bad.items()),
        )


def write_training_page(path: Path, run: TrainingRun, thumbnail: Thumbnail | None = None) -> None:
    """Write the page of a run.

    Args:
        path: Path of the file.
        run: What to show.
        thumbnail: Makes a JPEG or PNG file of a video; None for :func:`nlvid_cli.video.thumbnail.thumbnail`.

    Raises:
        OutputError: The file cannot be written.
    """
    charts = [made for rule in CHARTS if (made := _chart(rule, run.rows)) is not None]
    evaluation = None if run.evaluation is None else evaluation_values(run.evaluation, thumbnail)
    write_page(path, "training", title=run.title, facts=run.facts, charts=charts, evaluation=evaluation, bad=run.bad)


def _chart(rule: ChartRule, rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    curves = [Curve(name, tuple(_values(rows, kind, key))) for (kind, key), name in rule.values.items()]
    return chart(rule.title, [curve for curve in curves if curve.points], "step", rule.shares)


def _values(rows: Sequence[Mapping[str, Any]], kind: str, key: str) -> Iterable[tuple[float, float]]:
    """Return (step, value) of the rows that have the value; a dot in the key leads into a dictionary."""
    outer, _, inner = key.partition(".")
    for row in rows:
        value = row.get(outer)
        if inner:
            value = value.get(inner) if isinstance(value, Mapping) else None
        if row.get("type") == kind and isinstance(value, int | float):
            yield float(row["step"]), float(value)
