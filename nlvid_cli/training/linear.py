"""A linear classifier on features that do not change: fitted to the end by scikit-learn, not by steps.

Features are standardised, and the strength of the regularisation is chosen by cross-validation within the training
videos, so that neither a learning rate nor their scale has to be guessed. An example is a clip; those of one video stay
on one side of each fold. (Kumar et al., "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution", ICLR 2022, fit the head like this before they fine-tune the
rest.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from nlvid_cli.datasets.labelled import Kind
from nlvid_cli.system.arrays import sigmoid, softmax

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

DEFAULT_STRENGTH = 0.1
"""Inverse strength of the L2 penalty (``C`` of scikit-learn), unless another one is clearly better on held-out videos.
It is also that of very few videos, and of so many that it hardly matters."""

STRENGTHS = (0.001, 0.01, DEFAULT_STRENGTH, 1.0)
"""Inverse strengths to choose from, the strongest penalty first."""

FOLDS = 5

MAX_CHOSEN = 5000
"""Videos up to which the strength is chosen by cross-validation."""

CHANCE = 0.05
"""Difference of two accuracies on held-out clips that means nothing."""

MAX_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A fitted classifier.

    Attributes:
        weight: (classes, channels).
        bias: (classes,).
        loss: Mean cross entropy of the training videos.
        chance_loss: The same of a classifier that only knows how frequent the classes are.
        accuracy: Share of the training videos that are right (single), or of all decisions (multi).
        strength: Inverse strength of the penalty that was chosen.
    """

    weight: Array
    bias: Array
    loss: float
    chance_loss: float
    accuracy: float
    strength: float

    def logits(self, features: Array) -> Array:
        """(..., channels) -> (..., classes)."""
        logits: Array = features @ self.weight.T + self.bias
        return logits


@dataclass(frozen=True, eq=False)
class _Examples:
    """Features without redundant axes, and what belongs together.

    Attributes:
        features: (examples, axes).
        targets: (examples, classes).
        videos: (examples,) number of the video of each.
        balanced: Whether classes count in inverse proportion to their examples.
        seed: Random seed of the folds.
    """

    features: Doubles
    targets: Array
    videos: NDArray[np.int64]
    balanced: bool
    seed: int


@dataclass(frozen=True, eq=False)
class _Fitted:
    weight: Doubles
    bias: Doubles
    strength: float = DEFAULT_STRENGTH


def fit_head(
    features: Array,
    targets: Array,
    kind: Kind,
    balanced: bool,
    seed: int = 0,
    videos: NDArray[np.int64] | None = None,
) -> LinearHead:
    """Fit a classifier.

    Args:
        features: (examples, channels).
        targets: (examples, classes), 1 where a class is true.
        kind: ``single`` for one class per example, or ``multi``.
        balanced: Whether classes count in inverse proportion to their examples (single only).
        seed: Random seed of the cross-validation.
        videos: (examples,) number of the video of each example; None: each has its own.
    """
    features = features.astype(np.float32)
    center, scale = _location(features)
    scaled, axes = _without_redundant_axes((features - center) / scale)
    videos = np.arange(len(features)) if videos is None else videos
    examples = _Examples(scaled, targets, videos, balanced and kind == "single", seed)
    fitted = _one_of_several(examples) if kind == "single" else _each(examples)
    weight = (fitted.weight if axes is None else fitted.weight @ axes) / scale
    own, shift = weight.astype(np.float32), (fitted.bias - weight @ center).astype(np.float32)
    figures = _figures(features @ own.T + shift, targets, kind)
    return LinearHead(own, shift, *figures, fitted.strength)


def mirroring_confuses(
    features: Array, labels: NDArray[np.intp], videos: NDArray[np.int64], mirrored: NDArray[np.bool_], seed: int
) -> bool:
    """Whether classes depend on left and right, as held-out videos show.

    Classifiers that have seen no mirrored clip are asked about clips of other videos. Where they are less than half as
    far above guessing with mirrored clips as with plain ones, a mirrored clip shows another class.

    Args:
        features: (clips, channels).
        labels: (clips,) class of each.
        videos: (clips,) number of the video of each.
        mirrored: (clips,) which of them are mirrored.
        seed: Random seed of the folds.
    """
    center, scale = _location(features[~mirrored])
    targets = np.zeros((len(labels), 1), np.float32)
    scaled = _without_redundant_axes((features - center) / scale)[0]
    examples = _Examples(scaled, targets, videos, balanced=False, seed=seed)
    folds = _folds(examples, labels)
    if not folds:
        return False
    right = np.zeros(len(labels))
    for held_out in folds:
        seen = ~held_out & ~mirrored
        model = _model(DEFAULT_STRENGTH, balanced=False).fit(examples.features[seen], labels[seen])
        right[held_out] = model.predict(examples.features[held_out]) == labels[held_out]
    guessing = np.bincount(labels).max() / len(labels)
    plain = right[~mirrored].mean()
    return bool(plain - right[mirrored].mean() > max(CHANCE, (plain - guessing) / 2))


def _location(features: Array) -> tuple[Doubles, Doubles]:
    """Return mean and standard deviation of each channel; 1 for those that hardly vary."""
    center: Doubles = features.mean(axis=0, dtype=np.float64)
    scale: Doubles = features.std(axis=0, dtype=np.float64)
    return center, np.where(scale > 1e-6 * max(1e-12, float(scale.max(initial=0.0))), scale, 1.0)


def _without_redundant_axes(scaled: Doubles) -> tuple[Doubles, Doubles | None]:
    """Turn (examples, channels) into (examples, axes), and return the axes, (axes, channels), if these are fewer.

    The penalty does not change under rotation, so the classifier stays the same, and is found much faster.
    """
    if len(scaled) >= scaled.shape[1]:
        return scaled, None
    left, lengths, axes = np.linalg.svd(scaled, full_matrices=False)
    return left * lengths, axes


def _one_of_several(examples: _Examples) -> _Fitted:
    labels = examples.targets.argmax(axis=1)
    present = np.unique(labels)
    weight, bias = _empty(examples)
    if len(present) == 1:  # nothing to tell apart
        bias[present] = 0.0
        return _Fitted(weight, bias)
    strength = _chosen(examples, labels)
    model = _model(strength, examples.balanced).fit(examples.features, labels)
    if len(present) == 2:  # one logit, of the second class
        weight[present], bias[present] = np.stack([-model.coef_[0], model.coef_[0]]) / 2, [0.0, 0.0]
        bias[present] = np.array([-model.intercept_[0], model.intercept_[0]]) / 2
    else:
        weight[present], bias[present] = model.coef_, model.intercept_
    return _Fitted(weight, bias, strength)


def _each(examples: _Examples) -> _Fitted:
    """A classifier for each class; all share a strength, that of the most frequent class."""
    targets = examples.targets
    counts = targets.sum(axis=0)
    weight, bias = _empty(examples)
    varied = [label for label in np.argsort(-counts) if 0 < counts[label] < len(targets)]
    strength = _chosen(examples, targets[:, varied[0]].astype(int)) if varied else DEFAULT_STRENGTH
    for label in varied:
        model = _model(strength, balanced=False).fit(examples.features, targets[:, label].astype(int))
        weight[label], bias[label] = model.coef_[0], model.intercept_[0]
    bias[counts == len(targets)] = -_NEVER
    return _Fitted(weight, bias, strength)


_NEVER = -10.0
"""Logit of a class that no training video shows."""


def _empty(examples: _Examples) -> tuple[Doubles, Doubles]:
    """Return weights and biases of classes that are never named."""
    classes = examples.targets.shape[1]
    return np.zeros((classes, examples.features.shape[1])), np.full(classes, _NEVER)


def _chosen(examples: _Examples, labels: NDArray[np.intp]) -> float:
    """Return the default strength, or one whose accuracy on held-out videos is better by a standard error."""
    folds = _folds(examples, labels)
    if not folds:
        return DEFAULT_STRENGTH
    right = {strength: _held_out(examples, labels, folds, strength) for strength in STRENGTHS}
    gains = {strength: found - right[DEFAULT_STRENGTH] for strength, found in right.items()}
    better = [s for s, gain in gains.items() if gain.mean() > gain.std() / np.sqrt(len(gain))]
    return max(better, key=lambda strength: gains[strength].mean(), default=DEFAULT_STRENGTH)


def _folds(examples: _Examples, labels: NDArray[np.intp]) -> list[NDArray[np.bool_]]:
    """Return which examples each fold holds out, (examples,); none where there are too few videos, or very many."""
    videos, first = np.unique(examples.videos, return_index=True)
    of_videos = labels[first]
    count = min(FOLDS, int(np.bincount(of_videos)[np.unique(of_videos)].min()))
    if count < 2 or len(videos) > MAX_CHOSEN:
        return []
    splits = StratifiedKFold(count, shuffle=True, random_state=examples.seed % 2**32).split(videos, of_videos)
    return [np.isin(examples.videos, videos[held_out]) for _, held_out in splits]


def _held_out(
    examples: _Examples, labels: NDArray[np.intp], folds: list[NDArray[np.bool_]], strength: float
) -> Doubles:
    """Return the share of right examples of each video, (videos,), by classifiers that have not seen the video."""
    right = np.zeros(len(labels))
    for held_out in folds:
        model = _model(strength, examples.balanced).fit(examples.features[~held_out], labels[~held_out])
        right[held_out] = model.predict(examples.features[held_out]) == labels[held_out]
    videos = np.unique(examples.videos, return_inverse=True)[1]
    shares: Doubles = np.bincount(videos, right) / np.bincount(videos)
    return shares


def _model(strength: float, balanced: bool) -> LogisticRegression:
    weights = "balanced" if balanced else None
    return LogisticRegression(C=strength, class_weight=weights, max_iter=MAX_ITERATIONS)


def _figures(logits: Array, targets: Array, kind: Kind) -> tuple[float, float, float]:
    """Loss, loss of guessing by frequency, and accuracy."""
    frequency = targets.mean(axis=0).clip(1e-6, 1 - 1e-6)
    if kind == "single":
        right = targets.argmax(axis=1)
        of_right = softmax(logits)[np.arange(len(right)), right]
        chance = -float(np.log(frequency / frequency.sum())[right].mean())
        return -float(np.log(of_right.clip(1e-12)).mean()), chance, float((logits.argmax(axis=1) == right).mean())
    scores = sigmoid(logits).clip(1e-12, 1 - 1e-7)
    loss = -(targets * np.log(scores) + (1 - targets) * np.log(1 - scores)).mean()
    chance = -(targets * np.log(frequency) + (1 - targets) * np.log(1 - frequency)).mean()
    return float(loss), float(chance), float(((scores > 0.5) == (targets > 0.5)).mean())


def targets_of(labels: Sequence[Sequence[int]], classes: int) -> Array:
    """Return 1 where a class is true: (videos, classes)."""
    targets = np.zeros((len(labels), classes), np.float32)
    for row, own in zip(targets, labels, strict=True):
        row[list(own)] = 1.0
    return targets
