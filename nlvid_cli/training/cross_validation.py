"""One run per split, and the figures of a cross-validation."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev

from nlvid_cli.datasets.split import Split
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.training.folder import writing
from nlvid_cli.training.observer import Observer
from nlvid_cli.training.plan import TrainingPlan
from nlvid_cli.training.run import TrainingResult, train_split

FOLDS_FILE = "folds.json"
"""Name of the file with the figures of all runs of a cross-validation."""


def train_splits(
    splits: Sequence[Split], folder: Path, plan: TrainingPlan, is_cross_validation: bool, observer: Observer
) -> Iterator[TrainingResult]:
    """Train one model per split.

    Args:
        splits: One split, or those of a cross-validation.
        folder: Folder of the run. A cross-validation makes a folder in it for each split.
        plan: How to train each model.
        is_cross_validation: Whether this is a cross-validation.
        observer: Receives steps, epochs, and notes.
    """
    for split in splits:
        if is_cross_validation:
            observer.note(
                f"{split.name}: {len(split.train.videos)} training, {len(split.val.videos)} validation videos"
            )
        yield train_split(split, folder / split.name if is_cross_validation else folder, plan, observer)


def summarise_folds(results: Sequence[TrainingResult], folder: Path) -> str:
    """Write the figures of all runs to :data:`FOLDS_FILE`, and return them in a sentence."""
    evaluations = [result.evaluation for result in results if result.evaluation is not None]
    figures = {}
    for name in evaluations[0].figures:
        known = [(e.figures[name], len(e.videos)) for e in evaluations if not math.isnan(e.figures[name])]
        if known:
            values = [value for value, _ in known]
            figures[name] = {
                "mean": mean(values),
                "deviation": stdev(values) if len(values) > 1 else 0.0,
                "over_all_videos": sum(value * videos for value, videos in known) / sum(videos for _, videos in known),
            }
    runs = [
        {
            "name": result.folder.name,
            "epochs": result.epochs,
            "figures": {name: None if math.isnan(value) else value for name, value in evaluation.figures.items()},
        }
        for result, evaluation in zip(results, evaluations, strict=True)
    ]
    path = folder / FOLDS_FILE
    with writing(path), atomic_file(path) as part:
        part.write_text(json.dumps({"figures": figures, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    summary = ", ".join(
        f"{name} {100 * figure['mean']:.1f} % (deviation {100 * figure['deviation']:.1f})"
        for name, figure in figures.items()
    )
    return (
        f"mean of {len(results)} runs: {summary or 'no figures, because no validation video has a label'}; see {path}"
    )
