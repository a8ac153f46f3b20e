"""How good a model is on labelled videos, by the same road and the same test protocol as ``classify``.

::

    data set ─ match ─> labels of the model ─ Recognizer.score_many ─> scores ─ summarise ─> Evaluation

Where several processes share the videos, each calls :func:`score_videos` on its own and one of them
:func:`summarise` on all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.manifest import label_names
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.match import match_classes, read_for_model
from nlvid_cli.errors import UnreadableVideo, UsageError
from nlvid_cli.evaluation import metrics
from nlvid_cli.recognize.combine import temper
from nlvid_cli.recognize.prediction import Failure, Views
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.clips import Segment

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """A video that was looked at.

    Attributes:
        video: its path.
        where: the data set says what it shows, in words.
        actual: indices of its labels, in the model's order.
        scores: (classes,) in [0, 1], of the whole video, as ``classify`` gives them.
    """

    video: str
    where: str
    actual: tuple[int, ...]
    scores: Array

    @property
    def predicted(self) -> int:
        """Index of the best label."""
        return int(metrics.ranking(self.scores[None])[0, 0])

    def rank(self, label: int) -> int:
        """Place of a label among all, by its score, from 1."""
        return int(np.flatnonzero(metrics.ranking(self.scores[None])[0] == label)[0]) + 1

    @property
    def gap(self) -> float:
        """By how much the best label that is wrong beats the worst one that is right; above 0 for a mistake."""
        right = np.isin(np.arange(len(self.scores)), self.actual)
        wrong = self.scores[~right].max(initial=0.0)
        return float(wrong - self.scores[right].min(initial=1.0))


@dataclass(frozen=True)
class ClassRow:
    """How one class fared.

    Attributes:
        label: its name, as the model has it.
        index: its place in the model's order.
        videos: that show it.
        figure: the share of them that is right; average precision where any number of labels may be true.
        confused_with: what they were taken for most often, if anything else.
        confused_videos: how many of them were.
    """

    label: str
    index: int
    videos: int
    figure: float
    confused_with: str | None = None
    confused_videos: int = 0


@dataclass(frozen=True)
class Calibration:
    """Whether scores are what they say, and the temperature with which they come closest.

    Attributes:
        error: expected calibration error of the scores as they are, in [0, 1].
        error_after: the same with the temperature.
        likelihood: mean negative log-likelihood of the scores as they are.
        likelihood_after: the same with the temperature, which is where it is least.
        present: temperature that the card has now; the scores as they are have it in them.
        temperature: that the card should have.
        determined: whether the data determines it; not where the model is right about all videos, or hardly any.
    """

    error: float
    error_after: float
    likelihood: float
    likelihood_after: float
    present: float
    temperature: float
    determined: bool


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What :func:`evaluate` found.

    Attributes:
        model: full name of the model.
        backend: ``torch`` or ``onnx``.
        device: for example ``cpu`` or ``cuda:0``.
        precision: ``fp32``, ``bf16`` or ``fp16``, as computed.
        views: of each video.
        label_kind: ``single`` or ``multi``.
        labels: of the model, in the order of its scores.
        source: what the data set was recognised as, in words.
        figures: ``top1``, ``top5`` (where there are more than five classes) and ``mean_class_accuracy``; or ``mAP``
            where any number of labels may be true. All in [0, 1].
        classes: a row for each label that some video shows, in the model's order.
        confusion: (C, C) counts of actual by predicted labels; None where any number of labels may be true.
        calibration: of the scores.
        videos: that could be looked at, in the order of the data set.
        failures: the others.
        notes: what one should know about these figures, in sentences.
    """

    model: str
    backend: str
    device: str
    precision: str
    views: Views
    label_kind: Literal["single", "multi"]
    labels: tuple[str, ...]
    source: str
    figures: Mapping[str, float]
    classes: tuple[ClassRow, ...]
    confusion: metrics.Indices | None
    calibration: Calibration
    videos: tuple[ScoredVideo, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    def worst_mistakes(self, count: int) -> tuple[ScoredVideo, ...]:
        """Videos that are wrong, those first about which the model is surest."""
        wrong = (video for video in self.videos if video.gap > 0)
        return tuple(sorted(wrong, key=lambda video: -video.gap)[:count])

    def confused_pairs(self, count: int) -> tuple[tuple[str, str, int], ...]:
        """(actual, predicted, videos), the most frequent mistakes first."""
        if self.confusion is None:
            return ()
        pairs = [(int(self.confusion[a, p]), a, p) for a, p in np.argwhere(self.confusion).tolist() if a != p]
        pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
        return tuple((self.labels[a], self.labels[p], videos) for videos, a, p in pairs[:count])


def evaluate(
    data: DataSet | str | PathLike[str],
    recognizer: Recognizer,
    on_video: Callable[[ScoredVideo | Failure], None] | None = None,
) -> Evaluation:
    """Look at all videos of a data set and compare with their labels.

    A video that cannot be used is a failure, and stops nothing; the figures are those of the others.

    Args:
        data: labelled videos, or the folder or table where they are (see ``docs/data.md``).
        recognizer: from :func:`nlvid_cli.load`.
        on_video: is told of each video when it is done, in their order.

    Raises:
        DataSetError: nothing there is a data set, or something is wrong in it.
        UnknownName: a label of the data set is none of the model's.
        UsageError: there is no video, or one has several labels and the model gives one.
        UnreadableVideo: not a single video can be used.
    """
    labels = label_names(recognizer.card)
    if not isinstance(data, DataSet):
        data = read_for_model(Path(data), labels)
    matched, notes = match_classes(data, labels, recognizer.card.name)
    results = []
    for result in score_videos(matched, recognizer):
        results.append(result)
        if on_video is not None:
            on_video(result)
    return summarise(results, recognizer, data.source, notes)


def score_videos(data: DataSet, recognizer: Recognizer) -> Iterator[ScoredVideo | Failure]:
    """Look at the videos of a matched data set, in their order.

    Raises:
        UsageError: a video does not have exactly one label, and the model gives one.
    """
    if recognizer.card.labels.kind == "single":
        for video in data.videos:
            if len(video.labels) != 1:
                raise UsageError(
                    f"{video.where}: the video has {len(video.labels)} labels, and {recognizer.card.name} is a model "
                    "for exactly one per video; choose a multi-label model, such as nl-i3d-charades"
                )
    stretches = (Segment(video.path, video.start_seconds, video.end_seconds) for video in data.videos)
    for video, scores in zip(data.videos, recognizer.score_many(stretches), strict=True):
        if isinstance(scores, Failure):
            yield scores
        else:
            yield ScoredVideo(fspath(video.path), video.where, video.labels, scores)


def summarise(
    results: Iterable[ScoredVideo | Failure], recognizer: Recognizer, source: str, notes: tuple[str, ...] = ()
) -> Evaluation:
    """The figures of what :func:`score_videos` gave.

    Args:
        results: of all videos.
        recognizer: that they come from.
        source: of the data set.
        notes: of :func:`~nlvid_cli.datasets.match.match_classes`.

    Raises:
        UnreadableVideo: all of them are failures.
    """
    results = list(results)
    videos = tuple(result for result in results if isinstance(result, ScoredVideo))
    failures = tuple(result for result in results if isinstance(result, Failure))
    if not videos:
        first = failures[0]
        raise UnreadableVideo(
            f"none of the {len(failures)} videos can be used; the first: {first.video}: {first.error.message}"
        )
    card, backend = recognizer.card, recognizer.backend
    labels, kind = label_names(card), card.labels.kind
    scores = np.stack([video.scores for video in videos])
    relevant = np.stack([np.isin(np.arange(len(labels)), video.actual) for video in videos])
    figures, rows, confusion = (_of_one if kind == "single" else _of_several)(scores, relevant, labels)
    return Evaluation(
        model=card.name,
        backend=backend.name,
        device=backend.device,
        precision=backend.precision,
        views=recognizer.views,
        label_kind=kind,
        labels=labels,
        source=source,
        figures=figures,
        classes=rows,
        confusion=confusion,
        calibration=calibrate(scores, relevant, kind, card.temperature),
        videos=videos,
        failures=failures,
        notes=notes,
    )


def calibrate(
    scores: Array, relevant: metrics.Flags, kind: Literal["single", "multi"], present: float = 1.0
) -> Calibration:
    """Find the temperature of scores that have ``present`` in them already.

    Temperatures one after the other multiply: (p^(1/S))^(1/T) = p^(1/(S T)).
    """
    factor = metrics.fit_temperature(scores, relevant, kind)
    after = temper(scores, factor, kind)
    return Calibration(
        error=metrics.calibration_error_of(scores, relevant, kind),
        error_after=metrics.calibration_error_of(after, relevant, kind),
        likelihood=metrics.negative_log_likelihood(scores, relevant, kind),
        likelihood_after=metrics.negative_log_likelihood(after, relevant, kind),
        present=present,
        temperature=present * factor,
        determined=metrics.COLDEST < factor < metrics.HOTTEST,
    )


_Summary = tuple[dict[str, float], tuple[ClassRow, ...], metrics.Indices | None]


def _of_one(scores: Array, relevant: metrics.Flags, labels: Sequence[str]) -> _Summary:
    targets = relevant.argmax(axis=1)
    confusion = metrics.confusion_matrix(metrics.ranking(scores)[:, 0], targets, len(labels))
    accuracies = metrics.class_accuracies(confusion)
    figures = {"top1": metrics.top_k_accuracy(scores, targets, 1)}
    if len(labels) > 5:
        figures["top5"] = metrics.top_k_accuracy(scores, targets, 5)
    figures["mean_class_accuracy"] = metrics.mean_over_classes(accuracies)
    rows = []
    for index in np.flatnonzero(~np.isnan(accuracies)).tolist():
        others = np.where(np.arange(len(labels)) == index, 0, confusion[index])
        most = int(others.argmax())
        taken_for = labels[most] if others[most] else None
        videos, figure = int(confusion[index].sum()), float(accuracies[index])
        rows.append(ClassRow(labels[index], index, videos, figure, taken_for, int(others[most])))
    return figures, tuple(rows), confusion


def _of_several(scores: Array, relevant: metrics.Flags, labels: Sequence[str]) -> _Summary:
    precisions = metrics.average_precisions(scores, relevant)
    rows = tuple(
        ClassRow(labels[index], index, int(relevant[:, index].sum()), float(precisions[index]))
        for index in np.flatnonzero(~np.isnan(precisions)).tolist()
    )
    return {"mAP": metrics.mean_over_classes(precisions)}, rows, None
