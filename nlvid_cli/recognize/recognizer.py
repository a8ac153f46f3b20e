"""The whole road, from a path to a prediction; see :meth:`Recognizer.classify`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from nlvid_cli.backends import Array, Backend, BackendName, Precision
from nlvid_cli.backends.choose import open_backend
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import label_names, load_manifest
from nlvid_cli.errors import InputShapeError, NumericalError, UsageError
from nlvid_cli.models.find import find_default, find_model
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.checksums import sha256_of
from nlvid_cli.recognize.answer import Answer, Labels
from nlvid_cli.recognize.combine import combination, temper
from nlvid_cli.recognize.pipeline.in_order import in_order
from nlvid_cli.recognize.pipeline.pipeline import Limits, Outcome, Pipeline, Seen
from nlvid_cli.recognize.pipeline.settled import is_settled
from nlvid_cli.recognize.prediction import ClipPrediction, Failure, Prediction, Result, Views
from nlvid_cli.video.clips import ClipTable, Segment, decode_clips
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.remote import RemotePath, video_path

log = logging.getLogger(__name__)

Path_ = str | PathLike[str]
T = TypeVar("T")

SHA256_DIGITS = 16
"""That are enough to tell models of one name apart."""


@dataclass(frozen=True)
class _View:
    """What a pipeline needs of a backend."""

    backend: Backend
    of: Literal["scores", "logits"]

    @property
    def views_at_once(self) -> int:
        return self.backend.views_per_batch

    def look(self, views: Array) -> Array:
        """Scores or logits of views, as the rule of combination needs."""
        outputs = self.backend.outputs(views)
        return outputs.logits if self.of == "logits" else outputs.scores


class Recognizer:
    """A model that is ready to name the actions in videos. Made by :func:`load`.

    Attributes:
        card: the model's card, with the views that are really used.
        backend: what runs the network.
        file: the model's ready file; None if it was made of a network in memory.
    """

    def __init__(self, card: Card, backend: Backend, file: Path | None = None) -> None:
        self.card = card
        self.backend = backend
        self.file = file
        self._labels = Labels(card.name, label_names(card))
        self._combination = combination(card.labels)

    @property
    def views(self) -> Views:
        """How videos are looked at."""
        sampling = self.card.sampling
        return Views(sampling.clips, self.card.preprocess.crops, sampling.frames, sampling.step, sampling.frame_rate)

    @cached_property
    def model_sha256(self) -> str | None:
        """The first 16 digits of the sha256 of the model's file, which tells apart models of the same name."""
        return None if self.file is None else sha256_of(self.file)[:SHA256_DIGITS]

    def classify(self, path: Path_ | RemotePath, answer: Answer | None = None) -> Prediction:
        """Name the actions in the video at ``path``.

        Raises:
            UsageError: if this model cannot give such an answer.
            VideoError: if the video cannot be used; the message says why.
            InputShapeError: if its clips are too short or too small for the network.
            NumericalError: if the network's outputs are no numbers.
        """
        checked = self._checked(answer)
        stretch = Segment(video_path(path))
        frames, facts = decode_clips(stretch, self.card.sampling, self.card.preprocess)
        seen = Seen(facts, self._look_at(frames), tuple(range(len(frames))))
        return self._predict(str(stretch.path), seen, checked)

    def classify_many(
        self, paths: Iterable[Path_ | RemotePath], answer: Answer | None = None, limits: Limits | None = None
    ) -> Iterator[Result]:
        """Name the actions in many videos, in their order; what fails comes as a :class:`Failure`.

        Each video is decoded in a process of its own, several at a time, while the network looks at others: a video
        that hangs or crashes its decoder costs that video only. A single video is decoded here.

        Args:
            paths: of the videos; taken from as they are needed.
            answer: what is told.
            limits: number of processes, and what they may take.
        """
        checked = self._checked(answer)
        yield from self._each(
            (Segment(video_path(path)) for path in paths),
            lambda video, seen: self._predict(video, seen, checked),
            limits or Limits(),
        )

    def score_many(self, stretches: Iterable[Segment], limits: Limits | None = None) -> Iterator[Array | Failure]:
        """The scores of all labels, (classes,), of many videos, in their order; the same numbers as in predictions.

        What fails comes as a :class:`Failure`, as from :meth:`classify_many`.
        """
        yield from self._each(
            stretches, lambda video, seen: self._combined(seen.outputs[list(seen.facts.places)]), limits or Limits()
        )

    def pipeline(self, limits: Limits, more: Sequence[Recognizer] = (), auto_views: bool = False) -> Pipeline:
        """A run of this model over many videos; its outcomes become predictions by :meth:`result_of`.

        Args:
            limits: number of processes, and what they may take.
            more: the same model on other devices.
            auto_views: stop adding clips when the answer is settled, see :mod:`nlvid_cli.recognize.pipeline.settled`.
        """
        networks = [_View(one.backend, self._combination.of) for one in (self, *more)]
        settled = is_settled(self._combined) if auto_views else None
        return Pipeline(networks, self.card.sampling, self.card.preprocess, limits, settled)

    def result_of(self, outcome: Outcome, answer: Answer) -> Result:
        """What is told of a video that a :meth:`pipeline` has seen."""
        return self._finished(outcome, lambda video, seen: self._predict(video, seen, answer))

    def _each(
        self, stretches: Iterable[Segment], finish: Callable[[str, Seen], T], limits: Limits
    ) -> Iterator[T | Failure]:
        waiting = iter(stretches)
        first = list(islice(waiting, 2))
        if len(first) < 2:
            yield from (self._alone(stretch, finish) for stretch in first)
            return
        pipeline = self.pipeline(limits)
        for outcome in in_order(pipeline, chain(first, waiting)):
            yield self._finished(outcome, finish)

    def _alone(self, stretch: Segment, finish: Callable[[str, Seen], T]) -> T | Failure:
        """Without processes: they would take longer to start than the video."""
        try:
            frames, facts = decode_clips(stretch, self.card.sampling, self.card.preprocess)
        except Exception as error:  # whatever a file does to a decoder is a matter of this file
            if os.environ.get("NLVID_DEBUG") == "1":
                raise
            return Failure.of(str(stretch.path), error)
        return self._seen(stretch, frames, facts, finish)

    def look_at(self, stretch: Segment, frames: Pixels, facts: ClipTable, answer: Answer) -> Result:
        """What is told of a video that was decoded elsewhere, by :func:`~nlvid_cli.video.clips.decode_clips`."""
        return self._seen(stretch, frames, facts, lambda video, seen: self._predict(video, seen, answer))

    def _seen(
        self, stretch: Segment, frames: Pixels, facts: ClipTable, finish: Callable[[str, Seen], T]
    ) -> T | Failure:
        try:
            seen = Seen(facts, self._look_at(frames), tuple(range(len(frames))))
        except InputShapeError as error:
            return Failure.of(str(stretch.path), error)
        return self._finished(Outcome(0, stretch, seen), finish)

    def _finished(self, outcome: Outcome, finish: Callable[[str, Seen], T]) -> T | Failure:
        """What is wrong with the model or the device concerns all videos, and was raised; the rest is a Failure."""
        if isinstance(outcome.result, Failure):
            return outcome.result
        try:
            return finish(str(outcome.stretch.path), outcome.result)
        except NumericalError as error:
            if os.environ.get("NLVID_DEBUG") == "1":
                raise
            return Failure.of(str(outcome.stretch.path), error)

    def scores(self, clips: Array) -> Array:
        """Normalised clips (views, 3, frames, height, width) to scores (views, classes) in [0, 1]."""
        return self.backend.outputs(clips).scores

    def logits(self, clips: Array) -> Array:
        """The same before softmax or sigmoid, averaged over positions where the head is convolutional."""
        return self.backend.outputs(clips).logits

    def check(self, answer: Answer) -> None:
        """Raise UsageError or UnknownName if this model cannot give such an answer."""
        self._labels.chosen(answer)

    def _predict(self, video: str, seen: Seen, answer: Answer) -> Prediction:
        facts = seen.facts
        clips = [clip for clip, place in enumerate(facts.places) if place in seen.looked_at]
        views = seen.outputs[[facts.places[clip] for clip in clips]]  # (clips, crops, classes)
        scores = self._combined(views)
        return Prediction(
            video=video,
            model=self.card.name,
            backend=self.backend.name,
            device=self.backend.device,
            precision=self.backend.precision,
            facts=facts.facts.rounded(),
            views=replace(self.views, clips=len(clips)),
            label_kind=self.card.labels.kind,
            predictions=self._labels.best(scores, answer),
            unsure=self._labels.is_unsure(scores, answer),
            clips=tuple(
                ClipPrediction(
                    round(facts.start_seconds[clip], 6),
                    round(facts.end_seconds[clip], 6),
                    self._labels.best(self._combined(scored), answer),
                )
                for clip, scored in zip(clips, views, strict=True)
            ),
            warnings=facts.warnings,
        )

    def _combined(self, views: Array) -> Array:
        """Calibrated scores of what (..., classes) views say together: (classes,).

        Raises:
            NumericalError: if the views are no numbers.
        """
        if not np.isfinite(views).all():
            raise NumericalError(
                f"{self.card.name} puts out values that are no numbers, in {self.backend.precision} on "
                f"{self.backend.device}; try --precision fp32, and `nlvid models verify` on the model"
            )
        scores = self._combination.combine(views.reshape(-1, views.shape[-1]))
        return temper(scores, self.card.temperature, self.card.labels.kind)

    def _look_at(self, frames: Pixels) -> Array:
        """Scores or logits of all views, as the rule needs: (clips, T, H, W, 3) -> (clips, crops, classes).

        The float32 views exist only a batch at a time.
        """
        view = _View(self.backend, self._combination.of)
        crops = self.card.preprocess.crops
        at_once = max(1, view.views_at_once // crops)
        views = [
            view.look(preprocess(frames[i : i + at_once], self.card.preprocess)) for i in range(0, len(frames), at_once)
        ]
        return np.concatenate(views).reshape(len(frames), crops, -1)

    def _checked(self, answer: Answer | None) -> Answer:
        answer = answer or Answer()
        self.check(answer)
        return answer


def load(
    model: Path_ | None = None,
    *,
    as_name: str | None = None,
    backend: BackendName = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    clips: int | None = None,
    crops: Literal[1, 3] | None = None,
    step: int | None = None,
    progress: Progress | None = None,
) -> Recognizer:
    """Make a model ready, and download it if it is not here yet.

    Args:
        model: a name or an alias from :func:`list_models`, a file, ``hf://owner/repo/path`` or an https address;
            None means the first model of the manifest's default list that can be had.
        as_name: for a file without a model card: the model whose network, labels and protocol it has.
        backend: ``torch`` or ``onnx``; ``auto`` is ONNX Runtime for an ONNX file, and for a named model that was
            exported into the cache what is faster here, from a trial that is remembered.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``; with ONNX Runtime also ``tensorrt``, ``openvino``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        clips: clips per video, instead of what the card says.
        crops: crops per clip, 1 or 3, instead of what the card says.
        step: distance between frames, instead of what the card says.
        progress: is told of downloads.

    Raises:
        UnknownName: if there is no such model.
        UsageError: if ``as_name`` is needed and missing, or given and not needed.
        ModelError: if the model cannot be had or does not load.
        DeviceError: if the device or the precision is not available.
    """
    card, file = _find(model, as_name, progress)
    card = card.with_views(clips, crops, step)
    return Recognizer(card, open_backend(card, file, backend, device, precision), file)


def list_models() -> tuple[Card, ...]:
    """The cards of all models that nlvid knows by name."""
    return load_manifest().models


def _find(model: Path_ | None, as_name: str | None, progress: Progress | None) -> tuple[Card, Path]:
    if model is not None:
        return find_model(model, as_name, progress, onnx=True)
    if as_name is not None:
        raise UsageError(f"--as {as_name} says what network a file has; name the file with --model")
    return find_default(progress)
