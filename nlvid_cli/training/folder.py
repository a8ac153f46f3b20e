"""The folder of a run: which files are in it, whether a run may use it, and the saved state."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.split import Split
from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.system.strict_json import parse_json
from nlvid_cli.training.plan import TrainingPlan
from nlvid_cli.video.segment import Stretch

MODEL_FILE = "model.safetensors"
"""The trained model: the best by validation, or else the last."""

RECIPE_FILE = "recipe.json"
"""What makes the run what it is; see :func:`run_identity`."""

STATE_FILE = "state.pt"
"""The saved state; see :class:`RunState`."""

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a full disk, an exhausted quota, and a limit on file size."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write a file of a run into an error that says what is left, and what to do.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).removeprefix(f"{path}: ")
        advice = "; free space on that disk, or choose another --output" if error.errno in NO_SPACE else ""
        if (path.parent / STATE_FILE).is_file():
            advice += "; the last saved state is intact, continue from it with --resume"
        raise OutputError(f"{path}: cannot be written ({reason}){advice}") from error


def run_identity(plan: TrainingPlan, split: Split, label_kind: str) -> dict[str, Any]:
    """Return what two runs must share for one to continue the other, as JSON values.

    The machine is not part of it, since results do not depend on it.
    """
    identity = {
        "recipe": asdict(plan.recipe),
        "base": plan.base.card.name,
        "random_weights": plan.base.tensors is None,
        "nonlocal_blocks": plan.nonlocal_blocks,
        "seed": plan.seed,
        "classes": split.train.classes,
        "kind": label_kind,
        "train_videos": [str(video.path) for video in split.train.videos],
        "validation_videos": [str(video.path) for video in split.val.videos],
        "labels_and_stretches": _digest(*(part for part in (split.train, split.val) if part.videos)),
    }
    plain: dict[str, Any] = parse_json(json.dumps(identity))
    return plain


def prepare_folder(folder: Path, identity: Mapping[str, Any], resume: bool) -> None:
    """Make the folder and write :data:`RECIPE_FILE`; to resume, check that the folder holds the same run.

    A folder with neither a saved state nor a model holds no run yet, and is used.

    Raises:
        UsageError: The folder holds another run, or files that would be overwritten.
        OutputError: The folder cannot be written.
    """
    path = folder / RECIPE_FILE
    existing = [name for name in (STATE_FILE, MODEL_FILE) if (folder / name).exists()]
    if existing and not path.is_file():
        raise UsageError(f"{folder}: already has {existing[0]}, which would be overwritten; choose another --output")
    if existing and not resume:
        raise UsageError(f"{folder}: already holds a run; continue it with --resume, or choose another --output")
    if existing:
        _require_same_run(path, identity)
        return
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            part.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")


def _require_same_run(path: Path, identity: Mapping[str, Any]) -> None:
    try:
        before = parse_json(path.read_bytes())
        old = before["recipe"]
        changed = [
            f"{name} ({old.get(name)}, now {value})"
            for name, value in identity["recipe"].items()
            if old.get(name) != value
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: cannot be loaded ({error}); start again with another --output") from None
    changed += [name for name in identity if name != "recipe" and name in before and identity[name] != before[name]]
    if changed:
        raise UsageError(
            f"{path.parent}: its run was started with a different {', '.join(changed)}; repeat that command line with "
            "--resume, or start another run with another --output"
        )


def _digest(*parts: DataSet) -> str:
    """Hash all that the data sets say about their videos, except for the paths."""
    known = [[_known(video) for video in part.videos] for part in parts]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _known(video: LabelledVideo) -> tuple[object, ...]:
    part = video.stretch or Stretch()
    frames = () if part.start_frame is part.end_frame is None else (part.start_frame, part.end_frame)
    return (video.labels, part.start_seconds, part.end_seconds, video.label_times, *frames)


@dataclass
class RunState:
    """What a run needs to continue.

    Random numbers need no state: each is drawn from the seed and from what it is for.

    Attributes:
        step: Number of finished optimiser steps.
        network: Weights and statistics by name.
        optimizer: State of the optimiser.
        average: Exponential moving average of the weights by name; empty if the recipe has none.
        best: Best validation figure so far; None if there was none.
        best_epoch: Epoch of the best figure, from 1.
        losses: Losses of the steps since the last validation.
        train_outputs: What the figure on training clips has counted since then.
        bad: Training videos that could not be used: path and error message.
    """

    step: int
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor]
    best: float | None
    best_epoch: int
    losses: list[float]
    train_outputs: dict[str, Tensor]
    bad: dict[str, str]


def save_state(state: RunState, folder: Path) -> None:
    """Replace the saved state.

    Raises:
        OutputError: The state cannot be written; the previous one is kept.
    """
    path = folder / STATE_FILE
    with writing(path), atomic_file(path) as part, part.open("wb") as file:
        _save(state, file)


def _save(state: RunState, file: IO[bytes]) -> None:
    try:
        torch.save(vars(state), file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch replaces the error of a full disk with its own
            raise error.__context__ from None
        raise


def load_state(folder: Path) -> RunState:
    """Load the last saved state.

    Raises:
        UsageError: The file cannot be loaded.
    """
    path = folder / STATE_FILE
    try:
        return RunState(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many types for a damaged file; other versions of nlvid have other fields
        raise UsageError(f"{path}: cannot be loaded ({error}); start again with another --output") from None
