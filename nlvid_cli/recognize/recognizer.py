"""A loaded model that names the actions in videos.

Every command and :meth:`Recognizer.classify` travel the same road: videos go through a
:class:`~nlvid_cli.recognize.pipeline.pipeline.Pipeline` (decode, preprocess, network), and the outputs of each video's
views become its scores (:mod:`~nlvid_cli.recognize.combine`) and its labels (:mod:`~nlvid_cli.recognize.answer`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain, islice, takewhile
from os import PathLike
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from nlvid_cli.backends import Array, Backend, BackendName, Precision
from nlvid_cli.backends.choose import open_backend
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import label_names, load_manifest
from nlvid_cli.errors import NumericalError, UsageError
from nlvid_cli.models.find import find_default, find_model
from nlvid_cli.models.progress import Progress
from nlvid_cli.recognize.answer import Answer, LabelSelector
from nlvid_cli.recognize.combine import combination, temper
from nlvid_cli.recognize.explain.run import ExplainOptions, Model, explain
from nlvid_cli.recognize.explain.values import Explanation
from nlvid_cli.recognize.pipeline.batches import VideoOutputs
from nlvid_cli.recognize.pipeline.pipeline import Limits, Pipeline, in_order
from nlvid_cli.recognize.pipeline.settled import is_settled
from nlvid_cli.recognize.pipeline.shared import Stages
from nlvid_cli.recognize.pipeline.tracker import Outcome
from nlvid_cli.recognize.prediction import ClipPrediction, Failure, Prediction, Result, Views
from nlvid_cli.recognize.segments import find_segments
from nlvid_cli.recognize.timeline import Timeline, TimelineResult
from nlvid_cli.recognize.timeline_run import PartsOfVideos, RuleOptions, TimelineRun, WindowScores, times_of
from nlvid_cli.recognize.timeline_run import Progress as TimelineProgress
from nlvid_cli.recognize.windows import Windows
from nlvid_cli.system.hashes import sha256_of
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.clips import ClipTable
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.remote import RemotePath, video_path
from nlvid_cli.video.segment import Segment

LocalPath = str | PathLike[str]
T = TypeVar("T")

SHA256_DIGITS = 16
"""Digits of a file's sha256 to keep; enough to tell apart models of one name."""


class Recognizer:
    """A model that is ready to name the actions in videos. Made by :func:`load`.

    Attributes:
        card: The model's card, with the views that are used.
        backend: Backend that runs the network.
        file: The model's file; None if the network was made in memory.
    """

    def __init__(self, card: Card, backend: Backend, file: Path | None = None) -> None:
        self.card = card
        self.backend = backend
        self.file = file
        self._names = label_names(card)
        self._labels = LabelSelector(card.name, self._names)
        self._combine = combination(card.labels).combine

    @property
    def views(self) -> Views:
        """Views of each video."""
        sampling = self.card.sampling
        return Views(sampling.clips, self.card.preprocess.crops, sampling.frames, sampling.step, sampling.frame_rate)

    @cached_property
    def model_sha256(self) -> str | None:
        """First 16 digits of the sha256 of the model's file, which tell apart models of one name."""
        return None if self.file is None else sha256_of(self.file)[:SHA256_DIGITS]

    def classify(self, path: LocalPath | RemotePath | Segment, answer: Answer | None = None) -> Prediction:
        """Name the actions in the video at ``path``: the one result of :meth:`classify_many`, raised if it failed.

        ``path`` may be a part of a video: ``Segment("a.mp4", Stretch(2.0, 4.5))``.

        Raises:
            UsageError: The model cannot give such an answer.
            VideoError: The video cannot be used; the message says why.
            InputShapeError: Its clips are too short or too small for the network.
            NumericalError: The network produced NaN or infinity.
        """
        (result,) = self.classify_many([path], answer)
        if isinstance(result, Failure):
            raise result.exception
        return result

    def classify_many(
        self,
        paths: Iterable[LocalPath | RemotePath | Segment],
        answer: Answer | None = None,
        limits: Limits | None = None,
    ) -> Iterator[Result]:
        """Name the actions in many videos, in their order; a video that failed yields a :class:`Failure`.

        Several videos are decoded at a time, each in a process of its own, while the network works on others. A video
        that hangs or crashes its decoder costs that video only. A single local video is decoded in this process.

        Args:
            paths: Paths of the videos, or parts of them, read as they are needed.
            answer: Labels to return; None: the five best.
            limits: Number of processes, and their limits.

        Raises:
            UsageError: The model cannot give such an answer, or ``paths`` is a single path.
        """
        if isinstance(paths, str | bytes | PathLike | RemotePath | Segment):
            raise UsageError(f"classify_many takes several videos: classify_many([{paths!r}]), or classify({paths!r})")
        answer = self.checked(answer)
        return self._in_order(map(as_segment, paths), partial(self._predict, answer=answer), limits)

    def score_many(self, segments: Iterable[Segment], limits: Limits | None = None) -> Iterator[Array | Failure]:
        """Yield the scores of all labels, (classes,), of each video, in their order.

        They are the scores of :meth:`classify_many`, which describes the rest.
        """
        yield from self._in_order(segments, self._scores_of, limits)

    def classify_unordered(
        self,
        segments: Iterable[Segment],
        answer: Answer,
        limits: Limits,
        more: Sequence[Recognizer] = (),
        auto_views: bool = False,
        stages: Stages | None = None,
    ) -> Iterator[Outcome[Prediction]]:
        """Name the actions in many videos; the results come as they are done, each with the number of its video.

        Args:
            segments: The videos, read as they are needed.
            answer: Labels to return.
            limits: Number of processes, and their limits.
            more: The same model on other devices.
            auto_views: Whether to stop adding clips once the answer is settled, see
                :mod:`nlvid_cli.recognize.pipeline.settled`.
            stages: Clock to count the busy time of each stage with.
        """
        backends = [self.backend, *(other.backend for other in more)]
        finish = partial(self._predict, answer=answer)
        settled = partial(is_settled, combined=self._combined) if auto_views else None
        yield from Pipeline(backends, self.card, limits, finish, settled, stages).run(segments)

    def classify_decoded(self, segment: Segment, frames: Pixels, clips: ClipTable, answer: Answer) -> Result:
        """Name the actions in a video that :func:`~nlvid_cli.video.clips.decode_clips` decoded elsewhere."""
        finish = partial(self._predict, answer=answer)
        pipeline = Pipeline(
            [self.backend], self.card, Limits(workers=0), finish, decode=lambda segment: [(frames, clips)]
        )
        (outcome,) = pipeline.run([segment])
        return outcome.result

    def timeline(
        self,
        path: LocalPath | RemotePath | Segment,
        answer: Answer | None = None,
        rule: RuleOptions | None = None,
        limits: Limits | None = None,
    ) -> TimelineRun:
        """Look at a long video in windows, and find what happens when.

        The video is decoded in a process of its own while the network works; memory does not grow with its length.

        Args:
            path: Path of the video, or a part of one.
            answer: Labels to return; None: the five best of each window, and segments of all labels.
            rule: Distance of the windows, and how they become segments; None: the defaults.
            limits: Limits of the process.

        Returns:
            An iterator over the windows as they come; its ``timeline`` looks at the rest, and gives the segments.

        Raises:
            UsageError: The model cannot give such an answer.
        """
        answer, rule = self.checked(answer), rule or RuleOptions()
        limits = limits or Limits()
        pipeline = self._window_pipeline(answer, rule, replace(limits, workers=min(limits.worker_count, 1)))
        outcomes = pipeline.run([as_segment(path)])
        return TimelineRun(outcomes, partial(self._timeline, answer=answer, rule=rule), outcomes.close)

    def timeline_many(
        self,
        paths: Iterable[LocalPath | RemotePath | Segment],
        answer: Answer | None = None,
        rule: RuleOptions | None = None,
        limits: Limits | None = None,
        progress: TimelineProgress | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> Iterator[TimelineResult]:
        """Find what happens when in many videos, in their order; a video that failed yields a :class:`Failure`.

        Windows of several videos share the network; see :meth:`timeline` and :meth:`classify_many`.

        Args:
            paths: Paths of the videos, or parts of them, read as they are needed.
            answer: See :meth:`timeline`.
            rule: See :meth:`timeline`.
            limits: Number of processes, and their limits.
            progress: Called as windows come.
            stopping: Whether to stop: then videos that have begun end where they are, with a warning.
        """
        answer, rule = self.checked(answer), rule or RuleOptions()
        waiting = map(as_segment, paths)
        first = list(islice(waiting, 2))
        limits = limits or Limits()
        limits = replace(limits, workers=min(limits.worker_count, len(first)))
        run = partial(self.timeline_unordered, answer=answer, rule=rule, limits=limits)
        for outcome in in_order(partial(run, progress=progress, stopping=stopping), chain(first, waiting)):
            yield outcome.result

    def timeline_unordered(
        self,
        segments: Iterable[Segment],
        answer: Answer,
        rule: RuleOptions,
        limits: Limits,
        more: Sequence[Recognizer] = (),
        stages: Stages | None = None,
        progress: TimelineProgress | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> Iterator[Outcome[Timeline]]:
        """Find what happens when in many videos; the results come as they are done.

        Arguments are those of :meth:`classify_unordered` and :meth:`timeline_many`.
        """
        pipeline = self._window_pipeline(answer, rule, limits, more, stages)
        videos = PartsOfVideos(partial(self._timeline, answer=answer, rule=rule), progress)
        parts = pipeline.run(segments)
        with closing(parts):
            if stopping is None:
                yield from videos.join(parts)
            else:
                yield from videos.join(takewhile(lambda _: not stopping(), parts))
                if stopping():
                    yield from videos.stopped()

    def explain(self, path: LocalPath | RemotePath | Segment, options: ExplainOptions | None = None) -> Explanation:
        """Show why the model gives a label to a video: where it looks, and which places raise the score.

        One clip is explained, the one that decides unless ``options`` name another. The video is decoded in this
        process.

        Args:
            path: Path of the video, or a part of one.
            options: What to explain, and how; None: the best label.

        Raises:
            UsageError: The backend computes no gradients, or a point or a time is not in the video.
            UnknownName: There is no such label or non-local block.
            VideoError: The video cannot be used; the message says why.
            InputShapeError: Its clips are too short or too small for the network.
            NumericalError: The network produced NaN or infinity.
        """
        predict = partial(self._predict, answer=Answer())
        model = Model(self.card, self.backend, self._names, self._combined, predict)
        return explain(model, as_segment(path), options or ExplainOptions())

    def scores(self, clips: Array) -> Array:
        """Run the network on normalised clips.

        Args:
            clips: (views, 3, frames, height, width) float32, already normalised.

        Returns:
            (views, classes) in [0, 1].
        """
        return self.backend.outputs(clips).scores

    def logits(self, clips: Array) -> Array:
        """Return the outputs before softmax or sigmoid, averaged over the positions of a convolutional head."""
        return self.backend.outputs(clips).logits

    def checked(self, answer: Answer | None) -> Answer:
        """Return the answer, or the default one.

        Raises:
            UsageError: The model cannot give such an answer.
            UnknownName: A label pattern matches no label.
        """
        answer = answer or Answer()
        self._labels.allowed(answer)
        return answer

    def _in_order(
        self, segments: Iterable[Segment], finish: Callable[[VideoOutputs], T], limits: Limits | None
    ) -> Iterator[T | Failure]:
        waiting = iter(segments)
        first = list(islice(waiting, 2))
        limits = limits or Limits()
        if len(first) < 2:
            # One video is decoded before a process would have started. A network may stall, and only a process can be
            # ended then: an interrupt that reaches a callback of FFmpeg is lost.
            is_remote = any(isinstance(segment.path, RemotePath) for segment in first)
            limits = replace(limits, workers=min(limits.worker_count, int(is_remote)))
        pipeline = Pipeline([self.backend], self.card, limits, finish)
        for outcome in pipeline.run_in_order(chain(first, waiting)):
            yield outcome.result

    def _window_pipeline(
        self,
        answer: Answer,
        rule: RuleOptions,
        limits: Limits,
        more: Sequence[Recognizer] = (),
        stages: Stages | None = None,
    ) -> Pipeline[WindowScores]:
        backends = [self.backend, *(other.backend for other in more)]
        card = replace(self.card, sampling=replace(self.card.sampling, clips=1))
        windows = Windows(rule.every_seconds, max(1, usable_processors() // max(1, limits.worker_count)))
        finish = partial(self._window_scores, answer=answer)
        return Pipeline(backends, card, limits, finish, stages=stages, windows=windows)

    def _window_scores(self, video: VideoOutputs, answer: Answer) -> WindowScores:
        scores = np.zeros((len(video.outputs), len(self._names)), np.float32)
        for window, crops in enumerate(video.outputs):
            scores[window] = self._combined(crops)
        return WindowScores(video, self._clips(video, scores, answer), scores)

    def _timeline(self, whole: WindowScores, answer: Answer, rule: RuleOptions) -> Timeline:
        video = whole.video
        prediction = self._prediction(video, self._scores_of(video), whole.windows, answer)
        segment_rule = rule.rule(self.card.sampling, video.facts)
        starts, ends = times_of(whole.windows)
        kind, allowed = self.card.labels.kind, self._labels.allowed(answer)
        segments = find_segments(whole.scores, starts, ends, self._names, kind, segment_rule, allowed, answer.min_score)
        return Timeline(prediction, segments, segment_rule, tuple(self._names), whole.scores, starts, ends)

    def _predict(self, video: VideoOutputs, answer: Answer) -> Prediction:
        scores = [self._combined(crops) for crops in video.outputs]
        return self._prediction(video, self._scores_of(video), self._clips(video, scores, answer), answer)

    def _clips(self, video: VideoOutputs, scores: Iterable[Array], answer: Answer) -> tuple[ClipPrediction, ...]:
        times = zip(video.start_seconds, video.end_seconds, scores, strict=True)
        return tuple(
            ClipPrediction(round(start, 6), round(end, 6), self._labels.best(clip, answer))
            for start, end, clip in times
        )

    def _prediction(
        self, video: VideoOutputs, scores: Array, clips: tuple[ClipPrediction, ...], answer: Answer
    ) -> Prediction:
        return Prediction(
            video=str(video.segment.path),
            model=self.card.name,
            backend=self.backend.name,
            device=self.backend.device,
            precision=self.backend.precision,
            facts=video.facts.rounded(),
            views=replace(self.views, clips=len(video.outputs)),
            label_kind=self.card.labels.kind,
            predictions=self._labels.best(scores, answer),
            unsure=self._labels.is_unsure(scores, answer),
            clips=clips,
            warnings=video.warnings,
            stretch=video.segment.stretch,
            fps=video.segment.fps,
        )

    def _scores_of(self, video: VideoOutputs) -> Array:
        return self._combined(video.outputs)

    def _combined(self, outputs: Array) -> Array:
        """Calibrated scores, (classes,), of the outputs of some views, (..., classes).

        Raises:
            NumericalError: The outputs hold NaN or infinity.
        """
        if not np.isfinite(outputs).all():
            raise NumericalError(
                f"{self.card.name} produced NaN or infinity, in {self.backend.precision} on {self.backend.device}; "
                "try --precision fp32, and `nlvid models verify` on the model"
            )
        scores = self._combine(outputs.reshape(-1, outputs.shape[-1]))
        return temper(scores, self.card.temperature, self.card.labels.kind)


def as_segment(video: LocalPath | RemotePath | Segment) -> Segment:
    """Return what names a video, or a part of one, as a segment."""
    return video if isinstance(video, Segment) else Segment(video_path(video))


def load(
    model: LocalPath | None = None,
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
    """Load a model; download it first if it is not in the cache.

    Args:
        model: A name or an alias from :func:`list_models`, a file, ``hf://owner/repo/path`` or an https address; None:
            the first available model of the manifest's default list.
        as_name: For a file without a model card: the model whose network, labels and protocol it has.
        backend: ``torch`` or ``onnx``. ``auto`` is ONNX Runtime for an ONNX file; for a named model that was exported
            into the cache it is what a trial found faster on this machine.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``; with ONNX Runtime also ``tensorrt``, ``openvino``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        clips: Clips per video, instead of the card's.
        crops: Crops per clip, 1 or 3, instead of the card's.
        step: Distance between frames, instead of the card's.
        progress: Receives download progress.

    Raises:
        UnknownName: There is no such model.
        UsageError: ``as_name`` is needed and missing, or given and not needed.
        ModelError: The model is unavailable, or does not load.
        DeviceError: The device or the precision is not available.
    """
    card, file = _find(model, as_name, progress)
    card = card.with_views(clips, crops, step)
    return Recognizer(card, open_backend(card, file, backend, device, precision), file)


def list_models() -> tuple[Card, ...]:
    """Return the cards of all models that nlvid knows by name."""
    return load_manifest().models


def _find(model: LocalPath | None, as_name: str | None, progress: Progress | None) -> tuple[Card, Path]:
    if model is not None:
        return find_model(model, as_name, progress, onnx=True)
    if as_name is not None:
        raise UsageError(f"--as {as_name} names the network of a model file; name the file with --model")
    return find_default(progress)
