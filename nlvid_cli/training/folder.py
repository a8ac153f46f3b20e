"""The folder of a run: which files are in it, whether a run may use it, and the saved state."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.split import Split
from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.system.lock import locked
from nlvid_cli.system.strict_json import parse_json
from nlvid_cli.training.plan import TrainingPlan
from nlvid_cli.video.segment import Stretch

MODEL_FILE = "model.safetensors"
"""The trained model: the best by validation, or else the last."""

RECIPE_FILE = "recipe.json"
"""What makes the run what it is; see :func:`run_identity`."""

STATE_FILE = "state.pt"
"""The saved state; see :class:`RunState`."""

VIDEOS = ("train_videos", "validation_videos")
"""Keys of the paths of the videos in :data:`RECIPE_FILE`."""

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
    parts = (split.train, split.val)
    identity = {
        "recipe": asdict(plan.recipe),
        "base": plan.base.card.name,
        "random_weights": plan.base.tensors is None,
        "nonlocal_blocks": plan.nonlocal_blocks,
        "seed": plan.seed,
        "classes": split.train.classes,
        "kind": label_kind,
        **dict(zip(VIDEOS, ([os.path.abspath(video.path) for video in part.videos] for part in parts), strict=True)),
        "labels_and_stretches": _digest(*(part for part in parts if part.videos)),
    }
    plain: dict[str, Any] = parse_json(json.dumps(identity))
    return plain


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Make the folder, and hold its lock, so that no other run writes there.

    Raises:
        OutputError: Another run holds the lock, or the folder cannot be written.
    """
    with writing(folder / STATE_FILE):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / STATE_FILE):
        yield


@dataclass(frozen=True)
class Earlier:
    """What is known of a run that is continued.

    Attributes:
        epochs: Number of epochs that it was to take.
        moved_from: Where its first training video was, if the videos are in another folder now.
    """

    epochs: int
    moved_from: str | None = None


def prepare_folder(folder: Path, identity: Mapping[str, Any], resume: bool) -> Earlier | None:
    """Write :data:`RECIPE_FILE`; to resume, check that the folder holds the same run.

    A folder with neither a saved state nor a model holds no run yet, and is used. Videos are the same if they are at
    the same places within the folder that is common to all of them. A run may be continued with more epochs.

    Returns:
        The run that is continued; None for a new one.

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
    earlier = _require_same_run(path, identity) if existing else None
    with writing(path), atomic_file(path) as part:
        part.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")
    return earlier


def _require_same_run(path: Path, identity: Mapping[str, Any]) -> Earlier:
    try:
        before = parse_json(path.read_bytes())
        old = before["recipe"]
        changed = [
            f"{name} ({old.get(name)}, now {value})"
            for name, value in identity["recipe"].items()
            if old.get(name) != value and not _may_change(name, old.get(name), value)
        ]
        others = [name for name in identity if name != "recipe" and name in before]
        changed += [name for name in others if name not in VIDEOS and identity[name] != before[name]]
        changed += [name for name in VIDEOS if _places(identity)[name] != _places(before)[name]]
        earlier = Earlier(int(old["epochs"]), _moved_from(before, identity))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: cannot be loaded ({error}); start again with another --output") from None
    if changed:
        raise UsageError(
            f"{path.parent}: its run was started with a different {', '.join(changed)}; repeat that command line with "
            "--resume, or start another run with another --output"
        )
    return earlier


def _may_change(name: str, old: Any, new: Any) -> bool:
    """Whether a run may be continued with another value of a setting: those that decide only where it ends."""
    return name == "early_stop" or (name == "epochs" and new > old)


def _places(identity: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the paths of the videos within the folder that is common to all of them."""
    paths = {name: [os.path.abspath(path) for path in identity[name]] for name in VIDEOS}
    folders = [os.path.dirname(path) for some in paths.values() for path in some]
    with suppress(ValueError):  # the videos are on several drives
        common = os.path.commonpath(folders)
        return {name: [os.path.relpath(path, common) for path in some] for name, some in paths.items()}
    return paths


def _moved_from(before: Mapping[str, Any], identity: Mapping[str, Any]) -> str | None:
    """Return the old path of the first training video, if it is not the new one; None if it was relative."""
    old, new = before[VIDEOS[0]][0], identity[VIDEOS[0]][0]
    return str(old) if os.path.isabs(old) and old != new else None


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
