"""Runs and evaluations as a page: one HTML file that brings all it needs, and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlvid_cli.errors import NlvidError
from nlvid_cli.evaluation.evaluate import Evaluation, ScoredVideo
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.report.curves import Curve, chart
from nlvid_cli.report.evaluation import FIGURE_NAMES, calibration_sentence, figure_name, percent, worst_first
from nlvid_cli.report.page import plain, write_page
from nlvid_cli.report.table import how_it_was_looked_at
from nlvid_cli.training.records import read_rows

if TYPE_CHECKING:
    from nlvid_cli.training.run import TrainingResult

Thumbnail = Callable[[Path], bytes]

MISTAKES = 24
"""Videos that are shown as the worst mistakes."""

MATRIX_CLASSES = 40
"""Classes up to which the confusion matrix has numbers in it; beyond, it is a picture."""

PAIRS = 30
"""Confused pairs that are listed beside such a picture."""


@dataclass(frozen=True)
class ChartRule:
    """What a chart of a run shows: of rows of each type, which values, and what their curves are called."""

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
"""Charts of a run, from the rows of metrics.jsonl; those without a value are left out."""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """What a page tells of a training run.

    Attributes:
        title: of the page, for example the name of the model.
        facts: name and value of what the run was: base, recipe, data.
        rows: of metrics.jsonl, each with ``type``, ``step`` and its values.
        evaluation: of the trained model on the validation videos; None where there are none.
        bad: path and fault of training videos that could not be used.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    rows: Sequence[Mapping[str, Any]]
    evaluation: Evaluation | None = None
    bad: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, result: TrainingResult) -> TrainingRun:
        """Collect what the page of a finished run shows."""
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


def write_training_report(path: Path, run: TrainingRun, thumbnail: Thumbnail | None = None) -> None:
    """Write the page of a run: curves, confusion matrix, classes, the worst mistakes.

    Args:
        path: of the file.
        run: to tell of.
        thumbnail: makes a JPEG or PNG file of a video; None: :func:`nlvid_cli.video.thumbnail.thumbnail`.

    Raises:
        OutputError: the file cannot be written.
    """
    curves = "".join(_chart(rule, run.rows) for rule in CHARTS)
    parts = [_facts(run.facts), f'<h2>Training</h2><div class="charts">{curves}</div>' if curves else ""]
    if run.evaluation is not None:
        parts.append(_evaluation(run.evaluation, thumbnail))
    if run.bad:
        parts.append(_list("Training videos that could not be used", run.bad))
    write_page(path, run.title, parts)


def write_evaluation_report(path: Path, evaluation: Evaluation, thumbnail: Thumbnail | None = None) -> None:
    """Write the page of an evaluation; the arguments are those of :func:`write_training_report`."""
    write_page(path, f"{evaluation.model} on {evaluation.source}", [_evaluation(evaluation, thumbnail)])


def _chart(rule: ChartRule, rows: Sequence[Mapping[str, Any]]) -> str:
    curves = [Curve(name, tuple(_values(rows, kind, key))) for (kind, key), name in rule.values.items()]
    return chart(rule.title, [curve for curve in curves if curve.points], "step", rule.shares)


def _values(rows: Sequence[Mapping[str, Any]], kind: str, key: str) -> Iterable[tuple[float, float]]:
    """(step, value) of the rows that have it; a dot leads into a dictionary."""
    outer, _, inner = key.partition(".")
    for row in rows:
        value = row.get(outer)
        if inner:
            value = value.get(inner) if isinstance(value, Mapping) else None
        if row.get("type") == kind and isinstance(value, int | float):
            yield float(row["step"]), float(value)


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{plain(name)}</th><td>{plain(value)}</td></tr>" for name, value in facts)
    return f"<table>{rows}</table>" if rows else ""


def _evaluation(evaluation: Evaluation, thumbnail: Thumbnail | None) -> str:
    figures = [(FIGURE_NAMES[name], percent(value)) for name, value in evaluation.figures.items()]
    figures += [("calibration error", percent(evaluation.calibration.error)), ("videos", str(len(evaluation.videos)))]
    if evaluation.failures:
        figures.append(("failed", str(len(evaluation.failures))))
    boxes = "".join(f"<div><b>{value}</b>{name}</div>" for name, value in figures)
    notes = "".join(f'<p class="note">{plain(note)}</p>' for note in evaluation.notes)
    how = f"{how_it_was_looked_at(evaluation)}; {calibration_sentence(evaluation)}"
    return (
        f'<h2>Figures</h2><div class="figures">{boxes}</div><p class="faint">{plain(how)}</p>{notes}'
        + _confusion(evaluation)
        + _classes(evaluation)
        + _mistakes(evaluation, thumbnail)
        + (_list("Videos that failed", [_failed(failure) for failure in evaluation.failures]))
    )


def _classes(evaluation: Evaluation) -> str:
    single = evaluation.label_kind == "single"
    rows = "".join(
        f'<tr><td>{plain(row.label)}</td><td class="n">{row.videos}</td><td class="n">{percent(row.figure)}</td>'
        + (f"<td>{plain(row.confused_with)} ({row.confused_videos})</td>" if row.confused_with else "<td></td>")
        + "</tr>"
        for row in worst_first(evaluation)
    )
    return (
        f'<h2>Classes, the worst first</h2><table><thead><tr><th>class</th><th class="n">videos</th>'
        f'<th class="n">{figure_name(evaluation)}</th><th>{"most often taken for" if single else ""}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _confusion(evaluation: Evaluation) -> str:
    if evaluation.confusion is None:
        return ""
    counts = evaluation.confusion
    used = np.flatnonzero(counts.any(axis=1) | counts.any(axis=0)).tolist()
    shown = counts[np.ix_(used, used)]
    names = [evaluation.labels[index] for index in used]
    few = len(used) <= MATRIX_CLASSES
    picture = _matrix(shown, names) if few else _matrix_picture(shown, names) + _pairs(evaluation)
    return (
        f'<h2>Confusion</h2><p class="faint">A row is what a video shows, a column what it was taken for.</p>{picture}'
    )


def _matrix(counts: np.ndarray, names: Sequence[str]) -> str:
    heads = "".join(f'<th class="col">{plain(name)}</th>' for name in names)
    rows = []
    for place, name in enumerate(names):
        total = max(int(counts[place].sum()), 1)
        cells = "".join(
            f"<td{_shade(int(count) / total, column == place)}>{int(count) or ''}</td>"
            for column, count in enumerate(counts[place])
        )
        rows.append(f'<tr><th class="row">{plain(name)}</th>{cells}</tr>')
    return f'<div class="scroll"><table class="matrix"><tr><th></th>{heads}</tr>{"".join(rows)}</table></div>'


def _shade(share: float, right: bool) -> str:
    if not share:
        return ""
    colour = "43 138 62" if right else "217 72 15"
    return f' style="background:rgb({colour} / {round(15 + 60 * share)}%)"'


def _matrix_picture(counts: np.ndarray, names: Sequence[str]) -> str:
    """A square per pair that occurs; pointing at it tells which."""
    totals = np.maximum(counts.sum(axis=1), 1)
    squares = "".join(
        f'<rect class="c{2 if row == column else 1}" x="{column}" y="{row}" width="1" height="1" '
        f'fill-opacity="{0.2 + 0.8 * counts[row, column] / totals[row]:.2f}">'
        f"<title>{plain(names[row])} as {plain(names[column])}: {counts[row, column]}</title></rect>"
        for row, column in np.argwhere(counts).tolist()
    )
    size = len(names)
    return f'<svg viewBox="0 0 {size} {size}" style="max-width:720px;border:1px solid var(--line)">{squares}</svg>'


def _pairs(evaluation: Evaluation) -> str:
    rows = "".join(
        f'<tr><td>{plain(actual)}</td><td>{plain(predicted)}</td><td class="n">{videos}</td></tr>'
        for actual, predicted, videos in evaluation.confused_pairs(PAIRS)
    )
    return f'<table><thead><tr><th>shown</th><th>taken for</th><th class="n">videos</th></tr></thead>{rows}</table>'


def _mistakes(evaluation: Evaluation, thumbnail: Thumbnail | None) -> str:
    worst = evaluation.worst_mistakes(MISTAKES)
    if not worst:
        return ""
    from nlvid_cli.video.thumbnail import thumbnail as of_video

    boxes = "".join(_mistake(evaluation, video, thumbnail or of_video) for video in worst)
    return f'<h2>Worst mistakes</h2><div class="mistakes">{boxes}</div>'


def _mistake(evaluation: Evaluation, video: ScoredVideo, thumbnail: Thumbnail) -> str:
    scores, labels = video.scores, evaluation.labels
    wrong = max((i for i in range(len(labels)) if i not in video.actual), key=lambda i: (scores[i], -i))
    actual = ", ".join(f"{labels[index]} ({scores[index]:.3f})" for index in video.actual)
    return (
        f'<div class="mistake">{_image(video.video, thumbnail)}<b>{plain(labels[wrong])}</b> ({scores[wrong]:.3f})<br>'
        f'shows {plain(actual)}<br><span class="faint">{plain(video.video)}</span></div>'
    )


def _image(video: str, thumbnail: Thumbnail) -> str:
    """The thumbnail inside the page; nothing where none can be made."""
    try:
        data = thumbnail(Path(video))
    except (NlvidError, OSError, ValueError):  # FFmpeg's errors are among these
        return ""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f'<img alt="frames of the video" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _failed(failure: Failure) -> tuple[str, str]:
    return failure.video, failure.error.message


def _list(title: str, rows: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<tr><td>{plain(video)}</td><td>{plain(fault)}</td></tr>" for video, fault in rows)
    return f"<h2>{plain(title)}</h2><table>{items}</table>" if items else ""
