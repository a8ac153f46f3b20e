"""The whole road, from a path to a prediction; see :meth:`Recognizer.classify`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.backends import BACKENDS, Array, Backend, Precision
from nlvid_cli.checkpoints.card import Card
from nlvid_cli.checkpoints.fetch import fetch_default, open_checkpoint
from nlvid_cli.checkpoints.find import find_model
from nlvid_cli.checkpoints.manifest import label_names, load_manifest
from nlvid_cli.checkpoints.progress import Progress
from nlvid_cli.combine import combination, temper
from nlvid_cli.errors import InputShapeError, NumericalError, UsageError, did_you_mean
from nlvid_cli.prediction import ClipPrediction, Failure, LabelScore, Prediction, Result, Views
from nlvid_cli.video.info import Pixels, VideoInfo
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import FramePlan, sample
from nlvid_cli.video.trim import trim

log = logging.getLogger(__name__)

Path_ = str | PathLike[str]
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What is told of the scores.

    Attributes:
        top_k: number of labels at most, of the video and of each clip; None: all.
        threshold: labels that score less are not told, even if none is left.
        labels: shell patterns; only labels that match one of them (in any case) are told. None: all.
        min_score: if the best label scores less, the answer is "unsure".
    """

    top_k: int | None = 5
    threshold: float = 0.0
    labels: tuple[str, ...] | None = None
    min_score: float = 0.0


@dataclass(frozen=True)
class Stretch:
    """A video, or the part of it between two times.

    Attributes:
        path: of the file.
        start_seconds: from the first frame; None: where the video begins.
        end_seconds: None: where it ends.
    """

    path: Path_
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True)
class _Decoded:
    """A video on its way.

    Attributes:
        info: what it is.
        plan: which frames were chosen.
        frames: (different clips, T, H, W, 3); the clips of a short video are all the same one.
        clip_places: (clips,) where in ``frames`` each clip of the plan lies.
        warnings: what was odd about it.
    """

    info: VideoInfo
    plan: FramePlan
    frames: Pixels
    clip_places: NDArray[np.int64]
    warnings: tuple[str, ...]


class Recognizer:
    """A model that is ready to name the actions in videos. Made by :func:`load`.

    Attributes:
        card: the model's card, with the views that are really used.
        backend: what runs the network.
    """

    def __init__(self, card: Card, backend: Backend) -> None:
        self.card = card
        self.backend = backend
        self._labels = label_names(card)
        self._combination = combination(card.labels)

    @property
    def views(self) -> Views:
        """How videos are looked at."""
        sampling = self.card.sampling
        return Views(sampling.clips, self.card.preprocess.crops, sampling.frames, sampling.step, sampling.frame_rate)

    def classify(self, path: Path_, answer: Answer | None = None) -> Prediction:
        """Name the actions in the video at ``path``.

        Raises:
            VideoError: if the video cannot be used; the message says why.
            InputShapeError: if its clips are too short or too small for the network.
            NumericalError: if the network's outputs are no numbers.
        """
        return self._predict(fspath(path), self._decode(Stretch(path)), self._checked(answer))

    def classify_many(self, paths: Iterable[Path_], answer: Answer | None = None) -> Iterator[Result]:
        """Name the actions in many videos, in their order; what fails comes as a :class:`Failure`.

        The next video is decoded while the network looks at this one.
        """
        checked = self._checked(answer)
        stretches = (Stretch(path) for path in paths)
        yield from self._each(stretches, lambda video, decoded: self._predict(video, decoded, checked))

    def score_many(self, stretches: Iterable[Stretch]) -> Iterator[Array | Failure]:
        """The scores of all labels, (classes,), of many videos, in their order; the same numbers as in predictions.

        What fails comes as a :class:`Failure`, as from :meth:`classify_many`.
        """
        yield from self._each(stretches, lambda video, decoded: self._combined(self._view_scores(decoded)))

    def _each(self, stretches: Iterable[Stretch], finish: Callable[[str, _Decoded], T]) -> Iterator[T | Failure]:
        """Decode all videos, each while the one before is finished."""
        waiting = iter(stretches)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
            queue = [(stretch, pool.submit(self._decode, stretch)) for stretch in islice(waiting, 1)]
            while queue:
                stretch, decoding = queue.pop(0)
                error = decoding.exception()  # waits; whatever a file does to a decoder, the others go on
                queue += [(stretch, pool.submit(self._decode, stretch)) for stretch in islice(waiting, 1)]
                if error is None:
                    yield self._finish_or_fail(fspath(stretch.path), decoding.result(), finish)
                elif isinstance(error, Exception) and os.environ.get("NLVID_DEBUG") != "1":
                    yield Failure.of(fspath(stretch.path), error)
                else:
                    raise error

    def scores(self, clips: Array) -> Array:
        """Normalised clips (views, 3, frames, height, width) to scores (views, classes) in [0, 1]."""
        return self.backend.scores(clips)

    def logits(self, clips: Array) -> Array:
        """The same before softmax or sigmoid, averaged over positions where the head is convolutional."""
        return self.backend.logits(clips)

    def matching_labels(self, patterns: Sequence[str]) -> NDArray[np.int64]:
        """Indices of the labels that match one of the shell patterns, in any case.

        Raises:
            UnknownName: if a pattern matches no label.
        """
        names = [name.casefold() for name in self._labels]
        chosen: set[int] = set()
        for pattern in patterns:
            found = [i for i, name in enumerate(names) if fnmatchcase(name, pattern.casefold())]
            if not found:
                raise did_you_mean("label", pattern, self._labels, f"`nlvid models labels {self.card.name}` lists them")
            chosen.update(found)
        return np.array(sorted(chosen), dtype=np.int64)

    def _decode(self, stretch: Stretch) -> _Decoded:
        info = probe(Path(stretch.path))
        part, first = trim(info, stretch.start_seconds, stretch.end_seconds)
        plan = sample(part, self.card.sampling)
        different, places = np.unique(plan.frame_numbers + first, axis=0, return_inverse=True)
        rules = self.card.preprocess
        read = read_frames(info, different, rules.short_side, rules.resize, rules.size)
        return _Decoded(info, plan, read.frames, places, info.warnings + plan.warnings + read.warnings)

    def _finish_or_fail(self, video: str, decoded: _Decoded, finish: Callable[[str, _Decoded], T]) -> T | Failure:
        """What is wrong with the model or the device concerns all videos, and is raised; the rest is a Failure."""
        try:
            return finish(video, decoded)
        except (InputShapeError, NumericalError) as error:
            if os.environ.get("NLVID_DEBUG") == "1":
                raise
            return Failure.of(video, error)

    def _predict(self, video: str, decoded: _Decoded, answer: Answer) -> Prediction:
        views = self._view_scores(decoded)
        scores = self._combined(views)
        info, plan = decoded.info, decoded.plan
        return Prediction(
            video=video,
            model=self.card.name,
            backend=self.backend.name,
            device=self.backend.device,
            precision=self.backend.precision,
            duration_seconds=round(info.duration_seconds, 6),
            frame_rate=round(info.frame_rate, 6),
            variable_frame_rate=info.variable_frame_rate,
            width=info.width,
            height=info.height,
            rotation_degrees=info.rotation_degrees,
            views=self.views,
            label_kind=self.card.labels.kind,
            predictions=self._best(scores, answer),
            unsure=bool(scores[self._among(answer)].max() < answer.min_score),
            clips=tuple(
                ClipPrediction(round(float(start), 6), round(float(end), 6), self._best(self._combined(clip), answer))
                for start, end, clip in zip(plan.start_seconds, plan.end_seconds, views, strict=True)
            ),
            warnings=decoded.warnings,
        )

    def _view_scores(self, decoded: _Decoded) -> Array:
        """Scores or logits of the views, as the rule needs: (clips, crops, classes)."""
        return self._look_at(decoded.frames)[decoded.clip_places]

    def _combined(self, views: Array) -> Array:
        """Calibrated scores of what (..., classes) views say together: (classes,)."""
        scores = self._combination.combine(views.reshape(-1, views.shape[-1]))
        return temper(scores, self.card.temperature, self.card.labels.kind)

    def _look_at(self, frames: Pixels) -> Array:
        """Scores or logits of all views, as the rule needs: (clips, T, H, W, 3) -> (clips, crops, classes).

        The float32 views exist only a batch at a time.
        """
        run = self.backend.logits if self._combination.of == "logits" else self.backend.scores
        crops = self.card.preprocess.crops
        at_once = max(1, self.backend.views_per_batch // crops)
        views = [run(preprocess(frames[i : i + at_once], self.card.preprocess)) for i in range(0, len(frames), at_once)]
        outputs = np.concatenate(views)
        if not np.isfinite(outputs).all():
            raise NumericalError(
                f"{self.card.name} puts out values that are no numbers, in {self.backend.precision} on "
                f"{self.backend.device}; try --precision fp32, and `nlvid models verify` on the model"
            )
        return outputs.reshape(len(frames), crops, -1)

    def _best(self, scores: Array, answer: Answer) -> tuple[LabelScore, ...]:
        among = self._among(answer)
        order = among[np.argsort(-scores[among], kind="stable")[: answer.top_k]]
        return tuple(
            LabelScore(self._labels[i], int(i), float(scores[i])) for i in order if scores[i] >= answer.threshold
        )

    def _among(self, answer: Answer) -> NDArray[np.int64]:
        return np.arange(len(self._labels)) if answer.labels is None else self.matching_labels(answer.labels)

    def _checked(self, answer: Answer | None) -> Answer:
        answer = answer or Answer()
        if answer.top_k is not None and answer.top_k < 1:
            raise UsageError(f"top-k must be at least 1, not {answer.top_k}")
        if answer.labels is not None:
            self.matching_labels(answer.labels)
        return answer


def load(
    model: Path_ | None = None,
    *,
    as_name: str | None = None,
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
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
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
    card, tensors = _open(model, as_name, progress)
    card = card.with_views(clips, crops, step)
    return Recognizer(card, BACKENDS["torch"](card, tensors, device, precision))


def list_models() -> tuple[Card, ...]:
    """The cards of all models that nlvid knows by name."""
    return load_manifest().models


def _open(model: Path_ | None, as_name: str | None, progress: Progress | None) -> tuple[Card, dict[str, Array]]:
    if model is not None:
        card, file = find_model(model, as_name, progress, log.info)
    elif as_name is None:
        card, file = fetch_default(progress=progress, note=log.info)
    else:
        raise UsageError(f"--as {as_name} says what network a file has; name the file with --model")
    return card, open_checkpoint(file)[1]
