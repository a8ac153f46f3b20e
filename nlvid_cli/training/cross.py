"""A run for each split: one, or a cross-validation."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

from nlvid_cli.datasets.split import Split
from nlvid_cli.training.model import Base
from nlvid_cli.training.observer import Observer
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.run import Machine, TrainingResult, train_split
from nlvid_cli.training.writing import writing

FOLDS_FILE = "folds.json"
"""Name of the file with the figures of all runs of a cross-validation."""


@dataclass(frozen=True)
class Start:
    """What every run of a cross-validation begins with; see :func:`nlvid_cli.training.run.train_split`."""

    base: Base
    recipe: Recipe
    nonlocal_blocks: str | None = None
    seed: int = 0
    resume: bool = False
    machine: Machine = field(default_factory=Machine)


def train_folds(
    splits: Sequence[Split], folder: Path, start: Start, several: bool, observer: Observer
) -> Iterator[TrainingResult]:
    """Train on each split.

    Args:
        splits: at least one.
        folder: of the run, or where ``several`` says so, with a folder for each split.
        start: what each begins with.
        several: whether this is a cross-validation.
        observer: is told how it goes.
    """
    for split in splits:
        if several:
            observer.note(f"{split.name}: {len(split.train.videos)} videos, {len(split.val.videos)} to validate on")
        yield train_split(
            split,
            folder / split.name if several else folder,
            start.base,
            start.recipe,
            nonlocal_blocks=start.nonlocal_blocks,
            seed=start.seed,
            resume=start.resume,
            machine=start.machine,
            observer=observer,
        )


def summarise_folds(results: Sequence[TrainingResult], folder: Path) -> str:
    """Write the figures of all runs into :data:`FOLDS_FILE`, and tell them in a sentence."""
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
    with writing(path):
        path.write_text(json.dumps({"figures": figures, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    told = ", ".join(
        f"{name} {100 * figure['mean']:.1f} % (deviation {100 * figure['deviation']:.1f})"
        for name, figure in figures.items()
    )
    return f"mean of {len(results)} runs: {told or 'no figures, for want of labels'}; see {path}"
