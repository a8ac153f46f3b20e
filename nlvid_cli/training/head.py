"""Start a new head from a linear classifier that is fitted on the features of the base.

Where nothing but the head is trained, that is the whole training: features do not change, so each video is looked at
once. Elsewhere it is where training starts from, so that the first steps do not pull trained layers towards a random
head.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from accelerate import Accelerator

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.training.features import Array, VideoFeatures, features_of
from nlvid_cli.training.folder import writing
from nlvid_cli.training.linear import LinearHead, fit_head
from nlvid_cli.training.model import Trainee
from nlvid_cli.training.observer import Observer
from nlvid_cli.training.plan import TrainingPlan

FEATURES_FILE = "features.npz"
"""Features of the training videos, where the head is all that is trained: ``--resume`` does not compute them again."""

CLIPS = 4
"""Clips of each training video for a head that is not trained any further."""

START_CLIPS = 2
"""The same for a head from which training starts."""

START_VIDEOS_PER_CLASS = 50
"""Videos of each class that are enough for such a start."""


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head that was fitted, and the videos that could not be used for it: path and error message."""

    head: LinearHead
    bad: dict[str, str]


def start_head(
    trainee: Trainee, data: DataSet, plan: TrainingPlan, accelerator: Accelerator, folder: Path, observer: Observer
) -> FittedHead:
    """Fit a head on the features of training videos, and give it to the network. Every process calls this.

    Raises:
        UnreadableVideo: None of the videos can be used.
    """
    kind, only_head = trainee.card.labels.kind, trainee.trains_only_head
    videos = data.videos if only_head else _some_of_each(data)
    clips = CLIPS if only_head else START_CLIPS
    observer.note(
        f"computing the features of {len(videos)} videos, {clips} clips each"
        + (", once: all layers but the head stay as they are" if only_head else ", to start the new head from")
    )
    path = folder / FEATURES_FILE if only_head else None
    results = _kept(path, len(videos)) if path and plan.resume else None
    if results is None:
        part = DataSet(videos, data.classes, data.kind, data.source)
        limits = Limits(plan.machine.limits, plan.machine.workers)
        results = features_of(trainee, part, clips, accelerator, plan.recipe.precision, limits)
        if path and accelerator.is_main_process:
            _keep(path, results)
    bad = {
        str(video.path): result.error.message
        for video, result in zip(videos, results, strict=True)
        if isinstance(result, Failure)
    }
    features, targets = _examples(videos, results, len(data.classes))
    if not len(features):
        raise UnreadableVideo(
            f"none of the {len(videos)} training videos can be used; list the problems with `nlvid train DATA --check`"
        )
    head = fit_head(features, targets, kind, plan.recipe.class_weights, plan.seed)
    _give(trainee, head)
    observer.note(
        f"head fitted on {len(features)} examples: loss {head.loss:.3f} (guessing: {head.chance_loss:.3f}), "
        f"{100 * head.accuracy:.1f} % of them right"
    )
    return FittedHead(head, bad)


def _some_of_each(data: DataSet) -> tuple[LabelledVideo, ...]:
    """Return the first videos of each class, evenly spread over the data set."""
    counts = np.zeros(len(data.classes), int)
    totals = np.bincount([label for video in data.videos for label in video.labels], minlength=len(counts))
    steps = np.maximum(1, totals // START_VIDEOS_PER_CLASS)
    chosen = []
    for video in data.videos:
        if any(counts[label] % steps[label] == 0 for label in video.labels):
            chosen.append(video)
        counts[list(video.labels)] += 1
    return tuple(chosen)


def _examples(
    videos: tuple[LabelledVideo, ...], results: list[VideoFeatures | Failure], classes: int
) -> tuple[Array, Array]:
    """Return features, (examples, channels), and targets, (examples, classes).

    An example is the mean over the views of a video; where labels have times, it is a view.
    """
    features: list[Array] = []
    targets: list[Array] = []
    for video, result in zip(videos, results, strict=True):
        if isinstance(result, Failure):
            continue
        if not video.label_times:
            target = np.zeros(classes, np.float32)
            target[list(video.labels)] = 1
            features.append(result.mean)
            targets.append(target)
            continue
        for view, begin, end in zip(result.features, result.start_seconds, result.end_seconds, strict=True):
            target = np.zeros(classes, np.float32)
            for label, (label_begin, label_end) in zip(video.labels, video.label_times, strict=True):
                target[label] = max(target[label], float(label_begin <= end and label_end >= begin))
            features.append(view)
            targets.append(target)
    if not features:
        return np.zeros((0, 0), np.float32), np.zeros((0, classes), np.float32)
    return np.stack(features), np.stack(targets)


def _give(trainee: Trainee, head: LinearHead) -> None:
    classifier = trainee.network.get_submodule("head.classifier")
    with torch.no_grad():
        for name, values in (("weight", head.weight), ("bias", head.bias)):
            own = classifier.get_parameter(name)
            own.copy_(torch.from_numpy(values).reshape(own.shape))  # (classes, C) -> (classes, C, 1, 1, 1)


def _keep(path: Path, results: list[VideoFeatures | Failure]) -> None:
    good = [result for result in results if isinstance(result, VideoFeatures)]
    if not good:
        return
    arrays = {
        "features": np.stack([result.features for result in good]),
        "starts": np.array([result.start_seconds for result in good]),
        "ends": np.array([result.end_seconds for result in good]),
    }
    with writing(path), atomic_file(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _kept(path: Path, videos: int) -> list[VideoFeatures | Failure] | None:
    """Return the features that an earlier run kept; None if there are none for so many videos, all of them good."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            parts = zip(kept["features"], kept["starts"], kept["ends"], strict=True)
            found = [VideoFeatures(own, tuple(starts), tuple(ends)) for own, starts, ends in parts]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None
    return [*found] if len(found) == videos else None
