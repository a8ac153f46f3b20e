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
from numpy.typing import NDArray

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.training.features import Array, VideoFeatures, features_of, is_mirrored
from nlvid_cli.training.folder import writing
from nlvid_cli.training.linear import LinearHead, fit_head, mirroring_confuses
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

    One clip in four is mirrored, unless the recipe forbids it or there are several labels; these clips are dropped if
    held-out videos show that the classes depend on left and right.

    Raises:
        UnreadableVideo: None of the videos can be used.
    """
    only_head = trainee.trains_only_head
    videos = data.videos if only_head else _some_of_each(data)
    clips = CLIPS if only_head else START_CLIPS
    observer.note(
        f"computing the features of {len(videos)} videos, {clips} clips each"
        + (", once: all layers but the head stay as they are" if only_head else ", to start the new head from")
    )
    path = folder / FEATURES_FILE if only_head else None
    part = DataSet(videos, data.classes, data.kind, data.source)

    mirror = plan.recipe.flip and trainee.card.labels.kind == "single"
    results = _kept(path, len(videos)) if path and plan.resume else None
    if results is None:
        limits = Limits(plan.machine.limits, plan.machine.workers)
        results = features_of(trainee, part, clips, accelerator, plan.recipe.precision, limits, mirror)
        if path and accelerator.is_main_process:
            _keep(path, results)
    examples = _examples(part, results, trainee.card.preprocess.crops, mirror)
    if mirror and examples.mirrored.any() and examples.mirroring_confuses(plan.seed):
        observer.note("classes look like others in a mirror, so the head learns from plain clips only")
        examples = examples.plain
    head = examples.fit(trainee, plan)
    _give(trainee, head)
    observer.note(
        f"head fitted on {len(videos)} videos: loss {head.loss:.3f} (guessing: {head.chance_loss:.3f}), "
        f"{100 * head.accuracy:.1f} % of the clips right"
    )
    return FittedHead(head, _failures(part, results))


@dataclass(frozen=True, eq=False)
class _Examples:
    """What a head learns from: views of all videos.

    Attributes:
        features: (views, channels).
        targets: (views, classes), 1 where a class is true.
        videos: (views,) number of the video of each.
        mirrored: (views,) which of them are mirrored.
    """

    features: Array
    targets: Array
    videos: NDArray[np.int64]
    mirrored: NDArray[np.bool_]

    @property
    def plain(self) -> _Examples:
        """Those that are not mirrored."""
        keep = ~self.mirrored
        return _Examples(self.features[keep], self.targets[keep], self.videos[keep], self.mirrored[keep])

    def mirroring_confuses(self, seed: int) -> bool:
        """Whether classes depend on left and right."""
        return mirroring_confuses(self.features, self.targets.argmax(axis=1), self.videos, self.mirrored, seed)

    def fit(self, trainee: Trainee, plan: TrainingPlan) -> LinearHead:
        """Fit a head."""
        kind, balanced = trainee.card.labels.kind, plan.recipe.class_weights
        return fit_head(self.features, self.targets, kind, balanced, plan.seed, self.videos)


def _examples(data: DataSet, results: list[VideoFeatures | Failure], crops: int, mirror: bool) -> _Examples:
    """Return the views of all videos that can be used.

    Raises:
        UnreadableVideo: There is no such video.
    """
    columns: list[tuple[Array, Array, NDArray[np.int64], NDArray[np.bool_]]] = []
    for number, (video, result) in enumerate(zip(data.videos, results, strict=True)):
        if isinstance(result, Failure):
            continue
        views = np.arange(len(result.features))
        targets = _targets(video, result, len(data.classes))
        mirrored = is_mirrored(views // crops) if mirror else np.zeros(len(views), bool)
        columns.append((result.features, targets, np.full(len(views), number), mirrored))
    if not columns:
        raise UnreadableVideo(
            f"none of the {len(data.videos)} training videos can be used; list the problems with "
            "`nlvid train DATA --check`"
        )
    return _Examples(*map(np.concatenate, zip(*columns, strict=True)))


def _failures(data: DataSet, results: list[VideoFeatures | Failure]) -> dict[str, str]:
    pairs = zip(data.videos, results, strict=True)
    return {str(video.path): result.error.message for video, result in pairs if isinstance(result, Failure)}


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


def _targets(video: LabelledVideo, result: VideoFeatures, classes: int) -> Array:
    """Return 1 for the labels of each view, (views, classes): all labels of the video, or those at its time."""
    targets = np.zeros((len(result.features), classes), np.float32)
    if not video.label_times:
        targets[:, list(video.labels)] = 1
        return targets
    for target, begin, end in zip(targets, result.start_seconds, result.end_seconds, strict=True):
        for label, (label_begin, label_end) in zip(video.labels, video.label_times, strict=True):
            target[label] = max(target[label], float(label_begin <= end and label_end >= begin))
    return targets


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
