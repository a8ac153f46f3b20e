"""The folder of a run: what makes the run what it is, and whether the folder may be used for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.errors import UsageError
from nlvid_cli.training.loop import MODEL_FILE
from nlvid_cli.training.model import Base, Trainee
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.writing import STATE_FILE, writing

RECIPE_FILE = "recipe.json"
"""Name of the file that says what a run is."""


def facts_of(
    trainee: Trainee,
    base: Base,
    data: DataSet,
    validation: DataSet | None,
    recipe: Recipe,
    nonlocal_blocks: str | None,
    seed: int,
) -> dict[str, Any]:
    """What makes the run what it is, as JSON has it."""
    facts = {
        "recipe": asdict(recipe),
        "base": base.card.name,
        "random_weights": base.tensors is None,
        "nonlocal_blocks": nonlocal_blocks,
        "seed": seed,
        "classes": data.classes,
        "kind": trainee.card.labels.kind,
        "train_videos": [str(video.path) for video in data.videos],
        "validation_videos": [str(video.path) for video in validation.videos] if validation else [],
        "labels_and_stretches": _digest(data, validation),
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def prepare_folder(output: Path, facts: Mapping[str, Any], resume: bool) -> None:
    """Make the folder and write :data:`RECIPE_FILE` into it; for a run that goes on, look whether it is the same.

    A run that has neither saved its state nor a model is none: the next one takes its place.

    Raises:
        UsageError: the folder holds another run, or files that would be overwritten.
        OutputError: it cannot be written.
    """
    path = output / RECIPE_FILE
    holds = [name for name in (STATE_FILE, MODEL_FILE) if (output / name).exists()]
    if holds and not path.is_file():
        raise UsageError(f"{output}: holds {holds[0]}, which would be overwritten; choose another --output")
    if holds and not resume:
        raise UsageError(f"{output}: holds a run already; go on with it by --resume, or choose another --output")
    if holds:
        _require_same_run(output, facts)
        return
    with writing(path):
        output.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _require_same_run(output: Path, facts: Mapping[str, Any]) -> None:
    path = output / RECIPE_FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = _changes(before["recipe"], facts["recipe"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: does not load ({error}); start anew with another --output") from None
    changed += [name for name in facts if name != "recipe" and name in before and facts[name] != before[name]]
    if changed:
        raise UsageError(
            f"{output}: the run to go on with was started with other {', '.join(changed)}; repeat its command line "
            "with --resume, or begin another run with another --output"
        )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [f"{name} ({before.get(name)}, now {value})" for name, value in after.items() if before.get(name) != value]


def _digest(*parts: DataSet | None) -> str:
    """Of all that the data set says of each video, but for its path."""
    said = [
        [(video.labels, video.start_seconds, video.end_seconds, video.label_times) for video in part.videos]
        for part in parts
        if part is not None
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
