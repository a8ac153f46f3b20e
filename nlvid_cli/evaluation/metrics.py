"""Figures of an evaluation: arithmetic on scores and labels, with numpy only.

N is the number of videos and C of classes. ``scores`` are (N, C) in [0, 1]. The labels are ``targets``, (N,) indices,
where each video has one class, and ``relevant``, (N, C) booleans, where it has any number of them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.recognize.combine import evidence
from nlvid_cli.system.arrays import sigmoid, softmax

Scores = NDArray[np.float32]
Figures = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

CALIBRATION_BINS = 15
"""As in "On Calibration of Modern Neural Networks", Guo et al. 2017, section 5."""

COLDEST, HOTTEST = 0.05, 20.0
"""Range in which the best temperature is searched."""


def ranking(scores: Scores) -> Indices:
    """Return the classes of each video from best to worst, (N, C); of equal scores, the lower index comes first."""
    return np.argsort(-scores, axis=1, kind="stable")


def top_k_accuracy(scores: Scores, targets: Indices, k: int) -> float:
    """Share of videos whose class is among their k best: mean over n of [rank of target_n < k], ranks from 0."""
    return float((ranking(scores)[:, :k] == targets[:, None]).any(axis=1).mean())


def confusion_matrix(predicted: Indices, targets: Indices, classes: int) -> Indices:
    """Return counts of videos, (C, C): the row is the actual class, the column the predicted one."""
    pairs = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.int64)  # (C*C,) -> (actual C, predicted C)


def class_accuracies(confusion: Indices) -> Figures:
    """Share of each class's videos that are right, (C,): diagonal / sum of the row; NaN for a class without videos."""
    counts = confusion.sum(axis=1)
    return np.where(counts > 0, confusion.diagonal() / np.maximum(counts, 1), np.nan)


def average_precision(scores: Scores, relevant: Flags) -> float:
    """Area under precision and recall of one class, without interpolation; scikit-learn's ``average_precision_score``.

    AP = sum over i of (R_i - R_{i-1}) P_i, where i counts the different scores from the highest down, and P_i and R_i
    are precision and recall of "at least this score". Without equal scores it is the mean of the precisions at each
    positive. Videos with equal scores count together, so that their order makes no difference.

    Args:
        scores: (N,) of the class.
        relevant: (N,) whether each video shows the class.

    Returns:
        In [0, 1]; NaN if no video is relevant.
    """
    positives = int(relevant.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    hits = np.cumsum(relevant[order])[last_of_equals]
    precision = hits / (np.flatnonzero(last_of_equals) + 1)
    gained = np.diff(hits, prepend=0) / positives
    return float((precision * gained).sum())


def average_precisions(scores: Scores, relevant: Flags) -> Figures:
    """:func:`average_precision` of each class, (C,); NaN for a class that no video shows."""
    columns = zip(scores.T, relevant.T, strict=True)
    return np.array([average_precision(of_class, truth) for of_class, truth in columns])


def charades_average_precisions(scores: Scores, relevant: Flags) -> Figures:
    """:func:`average_precisions` by the rule of the Charades test: videos without a label do not count.

    The test ranks them after all others, whatever their scores are.
    """
    some = relevant.any(axis=1)
    return average_precisions(scores[some], relevant[some])


def mean_over_classes(figures: Figures) -> float:
    """Mean over the classes that have a figure: mean class accuracy, or mAP; NaN if none has."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if len(known) else float("nan")


def one_hot(targets: Indices, classes: int) -> Flags:
    """Turn (N,) indices into (N, C) booleans."""
    flags: Flags = targets[:, None] == np.arange(classes)
    return flags


def calibration_error(confidence: NDArray[np.float32], right: Flags, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: mean distance of the confidence from the share that is right.

    ECE = sum over b of |B_b| / n * |mean right in B_b - mean confidence in B_b|, where bin B_b holds confidences in
    ((b-1)/bins, b/bins] (Guo et al. 2017, section 2); 0 belongs to the first.

    Args:
        confidence: (n,) in [0, 1].
        right: (n,) whether each is right.
        bins: Number of bins, of equal width.
    """
    confidence = confidence.astype(np.float64)
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    excess = np.bincount(places, weights=right - confidence, minlength=bins)  # |B_b| times the difference of means
    return float(np.abs(excess).sum() / len(confidence))


def calibration_error_of(scores: Scores, relevant: Flags, kind: Literal["single", "multi"]) -> float:
    """Calibration error of each video's best score, or of all scores where any number of labels may be true."""
    if kind == "multi":
        return calibration_error(scores.ravel(), relevant.ravel())  # (N, C) -> (N*C,)
    best = ranking(scores)[:, 0]
    each = np.arange(len(scores))
    return calibration_error(scores[each, best], relevant[each, best])


def negative_log_likelihood(scores: Scores, relevant: Flags, kind: Literal["single", "multi"]) -> float:
    """Mean over videos of -log p(target); or over videos and classes of -log p where relevant and -log(1 - p) else."""
    values = evidence(scores, kind)
    if kind == "single":
        return float(-values[relevant].mean())
    return float(np.logaddexp(0, np.where(relevant, -values, values)).mean())


def fit_temperature(scores: Scores, relevant: Flags, kind: Literal["single", "multi"]) -> float:
    """Find the temperature that minimises the :func:`negative_log_likelihood` of ``combine.temper(scores, T)``.

    With x = log p (or logit p), the likelihood is convex in b = 1 / T, and its slope is the sum over videos of
    (mean of x under softmax(b x)) - x_target, or of (sigmoid(b x) - relevant) x. Bisection of log b finds where the
    slope changes its sign.

    Returns:
        In [:data:`COLDEST`, :data:`HOTTEST`]. At one of these ends the data does not determine a temperature: for a
        model that is always right (or hardly ever), infinite (or no) confidence is best.
    """
    values = evidence(scores, kind)
    low, high = -np.log(HOTTEST), -np.log(COLDEST)  # of log b
    if _slope(values, relevant, kind, np.exp(low)) >= 0:
        return HOTTEST
    if _slope(values, relevant, kind, np.exp(high)) <= 0:
        return COLDEST
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _slope(values, relevant, kind, np.exp(middle)) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))


def _slope(values: Figures, relevant: Flags, kind: str, inverse: float) -> float:
    """Slope of the negative log-likelihood over 1 / T."""
    powers = values * inverse
    if kind == "multi":
        return float(((sigmoid(powers) - relevant) * values).sum())
    return float((softmax(powers) * values).sum() - values[relevant].sum())
