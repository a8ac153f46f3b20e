"""A linear classifier on features that do not change: fitted to the end by scikit-learn, not by steps.

Features are standardised, and the strength of the regularisation is chosen by cross-validation within the training
videos, so that neither a learning rate nor their scale has to be guessed. (Kumar et al., "Fine-Tuning can Distort
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

STRENGTHS = tuple(10.0**power for power in range(-5, 2))
"""Inverse strengths of the L2 penalty to choose from (``C`` of scikit-learn), the strongest penalty first."""

DEFAULT_STRENGTH = 0.01
"""Inverse strength where there are too few videos to choose, or so many that it hardly matters."""

FOLDS = 5

MAX_CHOSEN = 5000
"""Videos up to which the strength is chosen by cross-validation."""

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


def fit_head(features: Array, targets: Array, kind: Kind, balanced: bool, seed: int = 0) -> LinearHead:
    """Fit a classifier.

    Args:
        features: (videos, channels).
        targets: (videos, classes), 1 where a class is true.
        kind: ``single`` for one class per video, or ``multi``.
        balanced: Whether classes count in inverse proportion to their videos (single only).
        seed: Random seed of the cross-validation.
    """
    features = features.astype(np.float32)
    center: Doubles = features.mean(axis=0, dtype=np.float64)
    scale: Doubles = features.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 1e-6 * max(1e-12, float(scale.max(initial=0.0))), scale, 1.0)
    scaled = (features - center) / scale
    fit = _one_of_several if kind == "single" else _each
    weight, bias, strength = fit(scaled, targets, balanced, seed)
    weight = weight / scale
    own, shift = weight.astype(np.float32), (bias - weight @ center).astype(np.float32)
    return LinearHead(own, shift, *_figures(features @ own.T + shift, targets, kind), strength)


def _one_of_several(scaled: Doubles, targets: Array, balanced: bool, seed: int) -> tuple[Doubles, Doubles, float]:
    labels = targets.argmax(axis=1)
    present = np.unique(labels)
    weight, bias = np.zeros((targets.shape[1], scaled.shape[1])), np.full(targets.shape[1], _NEVER)
    if len(present) == 1:  # nothing to tell apart
        bias[present] = 0.0
        return weight, bias, DEFAULT_STRENGTH
    strength = _chosen(scaled, labels, balanced, seed)
    model = _model(strength, balanced).fit(scaled, labels)
    if len(present) == 2:  # one logit, of the second class
        weight[present], bias[present] = np.stack([-model.coef_[0], model.coef_[0]]) / 2, [0.0, 0.0]
        bias[present] = np.array([-model.intercept_[0], model.intercept_[0]]) / 2
    else:
        weight[present], bias[present] = model.coef_, model.intercept_
    return weight, bias, strength


def _each(scaled: Doubles, targets: Array, balanced: bool, seed: int) -> tuple[Doubles, Doubles, float]:
    """A classifier for each class; all share a strength, that of the most frequent class."""
    counts = targets.sum(axis=0)
    weight, bias = np.zeros((targets.shape[1], scaled.shape[1])), np.full(targets.shape[1], _NEVER)
    varied = [label for label in np.argsort(-counts) if 0 < counts[label] < len(targets)]
    strength = _chosen(scaled, targets[:, varied[0]].astype(int), False, seed) if varied else DEFAULT_STRENGTH
    for label in varied:
        model = _model(strength, False).fit(scaled, targets[:, label].astype(int))
        weight[label], bias[label] = model.coef_[0], model.intercept_[0]
    bias[counts == len(targets)] = -_NEVER
    return weight, bias, strength


_NEVER = -10.0
"""Logit of a class that no training video shows."""


def _chosen(scaled: Doubles, labels: NDArray[np.intp], balanced: bool, seed: int) -> float:
    """Return the strength with the least loss on held-out videos."""
    fewest = int(np.bincount(labels)[np.unique(labels)].min())
    folds = min(FOLDS, fewest)
    if folds < 2 or len(labels) > MAX_CHOSEN:
        return DEFAULT_STRENGTH
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32).split(scaled, labels))
    losses = {}
    for strength in STRENGTHS:
        parts = []
        for train, held_out in splits:
            model = _model(strength, balanced).fit(scaled[train], labels[train])
            scores = model.predict_proba(scaled[held_out])
            places = np.searchsorted(model.classes_, labels[held_out])
            parts.append(-np.log(np.maximum(scores[np.arange(len(places)), places], 1e-12)))
        losses[strength] = float(np.concatenate(parts).mean())
    return min(losses, key=lambda strength: losses[strength])


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
