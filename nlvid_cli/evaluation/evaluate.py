"""Evaluate a model on labelled videos, by the same road and the same test protocol as ``classify``.

::

    data set ─ match ─> labels of the model ─ Recognizer.score_many ─> scores ─ summarise ─> Evaluation

Where several processes share the videos, each calls :func:`score_videos` on its own and one of them :func:`summarise`
on all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import nlvid_cli.datasets.formats.charades as charades
from nlvid_cli.card.manifest import label_names
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.match import match_classes, read_for_model
from nlvid_cli.errors import UnreadableVideo, UsageError
from nlvid_cli.evaluation import metrics
from nlvid_cli.evaluation.temperature import Calibration, calibrate
from nlvid_cli.recognize.prediction import Failure, Views
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.segment import Stretch

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """A video with its scores.

    Attributes:
        video: Its path.
        where: Place in the data set that says what it shows, in words.
        actual: Indices of its labels, in the model's order.
        scores: (classes,) in [0, 1], of the whole video, as ``classify`` returns them.
        stretch: Part of the video that they are of; None: all of it.
    """

    video: str
    where: str
    actual: tuple[int, ...]
    scores: Array
    stretch: Stretch | None = None

    @property
    def predicted(self) -> int:
        """Index of the best label."""
        return int(metrics.ranking(self.scores[None])[0, 0])

    def rank(self, label: int) -> int:
        """Rank of a label by its score, from 1."""
        return int(np.flatnonzero(metrics.ranking(self.scores[None])[0] == label)[0]) + 1

    @property
    def gap(self) -> float:
        """Score of the best wrong label less that of the worst right one; above 0 for a mistake."""
        right = np.isin(np.arange(len(self.scores)), self.actual)
        wrong = self.scores[~right].max(initial=0.0)
        return float(wrong - self.scores[right].min(initial=1.0))


@dataclass(frozen=True)
class ClassRow:
    """Figures of one class.

    Attributes:
        label: Its name, as the model has it.
        index: Its index in the model's order.
        videos: Number of videos that show it.
        figure: Share of these that is right; average precision where any number of labels may be true.
        confused_with: Class that they were most often taken for, if any.
        confused_videos: Number of videos that were.
    """

    label: str
    index: int
    videos: int
    figure: float
    confused_with: str | None = None
    confused_videos: int = 0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of :func:`evaluate`.

    Attributes:
        model: Full name of the model.
        backend: ``torch`` or ``onnx``.
        device: For example ``cpu`` or ``cuda:0``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, as computed.
        views: Views of each video.
        label_kind: ``single`` or ``multi``.
        labels: Labels of the model, in the order of its scores.
        source: Format of the data set, in words.
        figures: ``top1``, ``top5`` (with more than five classes) and ``mean_class_accuracy``; or ``mAP`` where any
            number of labels may be true. All in [0, 1].
        classes: A row for each label that some video shows, in the model's order.
        confusion: (C, C) counts of actual by predicted labels; None where any number of labels may be true.
        calibration: Calibration of the scores.
        videos: Videos with scores, in the order of the data set.
        failures: The other videos.
        notes: Remarks on these figures, in sentences.
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
        """Return the mistakes about which the model is surest."""
        wrong = (video for video in self.videos if video.gap > 0)
        return tuple(sorted(wrong, key=lambda video: -video.gap)[:count])

    def confused_pairs(self, count: int) -> tuple[tuple[str, str, int], ...]:
        """Return the most frequent mistakes as (actual, predicted, number of videos)."""
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
    """Score all videos of a data set and compare them with their labels.

    A video that cannot be used becomes a failure and stops nothing; the figures are those of the other videos.

    Args:
        data: Labelled videos, or the folder or table of them (see ``docs/data.md``).
        recognizer: Model, from :func:`nlvid_cli.load`.
        on_video: Called with each video when it is done, in their order.

    Raises:
        DataSetError: There is no data set, or something in it is wrong.
        UnknownName: A label of the data set is not one of the model's.
        UsageError: There is no video, or a video has several labels and the model is for one.
        UnreadableVideo: Not a single video can be used.
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
    """Yield the scores of the videos of a matched data set, in their order.

    Raises:
        UsageError: A video does not have exactly one label, and the model is for one.
    """
    if recognizer.card.labels.kind == "single":
        for video in data.videos:
            if len(video.labels) != 1:
                raise UsageError(
                    f"{video.where}: the video has {len(video.labels)} labels, and {recognizer.card.name} is for "
                    "exactly one per video; choose a multi-label model, such as nl-i3d-charades"
                )
    segments = (video.segment for video in data.videos)
    for video, scores in zip(data.videos, recognizer.score_many(segments), strict=True):
        if isinstance(scores, Failure):
            yield scores
        else:
            yield ScoredVideo(fspath(video.path), video.where, video.labels, scores, video.stretch)


def summarise(
    results: Iterable[ScoredVideo | Failure], recognizer: Recognizer, source: str, notes: tuple[str, ...] = ()
) -> Evaluation:
    """Compute the figures of what :func:`score_videos` yielded.

    Args:
        results: Results of all videos.
        recognizer: Model that they come from.
        source: Format of the data set.
        notes: Notes of :func:`~nlvid_cli.datasets.match.match_classes`.

    Raises:
        UnreadableVideo: All of them are failures.
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


def average_precisions(scores: Array, relevant: metrics.Flags, labels: Sequence[str]) -> metrics.Figures:
    """Average precision of each class, (C,), by Charades' rule for the labels of Charades; NaN for one without videos.

    Args:
        scores: (N, C) in [0, 1].
        relevant: (N, C), whether each video shows each class.
        labels: Names of the classes.
    """
    average = metrics.charades_average_precisions if has_charades_rule(labels) else metrics.average_precisions
    return average(scores, relevant)


def has_charades_rule(labels: Sequence[str]) -> bool:
    """Whether these are the labels of Charades: of its published models, or of those trained on it."""
    return sorted(labels) == sorted(charades.class_names())


def _of_several(scores: Array, relevant: metrics.Flags, labels: Sequence[str]) -> _Summary:
    precisions = average_precisions(scores, relevant, labels)
    rows = tuple(
        ClassRow(labels[index], index, int(relevant[:, index].sum()), float(precisions[index]))
        for index in np.flatnonzero(~np.isnan(precisions)).tolist()
    )
    figures = {"mAP": metrics.mean_over_classes(precisions)}
    if has_charades_rule(labels):
        figures["mAP_all_videos"] = metrics.mean_over_classes(metrics.average_precisions(scores, relevant))
    return figures, rows, None
