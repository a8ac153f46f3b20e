"""From what the network says of each view to the scores of the video: the last station of the road.

At its end, :func:`temper` calibrates these scores where the card states a temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Labels

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Combination:
    """A rule of a published test.

    Attributes:
        of: what it takes of each view, the network's scores or its logits.
        combine: (views, classes) of these to the scores of the video, (classes,), in [0, 1].
    """

    of: Literal["scores", "logits"]
    combine: Callable[[Array], Array]


def mean(scores: Array) -> Array:
    """Mean over views: "Non-local Neural Networks", section 4.1, averages softmax scores."""
    result: Array = scores.mean(axis=0)
    return result


def maximum(scores: Array) -> Array:
    """The best view counts for each class, as published for Charades (long-term feature banks)."""
    result: Array = scores.max(axis=0)
    return result


def softmax_of_mean_logits(logits: Array) -> Array:
    """Softmax of the mean over views: GluonCV and TSN (Temporal Segment Networks, its segmental consensus)."""
    centred = logits.mean(axis=0)
    powers = np.exp(centred - centred.max())
    result: Array = powers / powers.sum()
    return result


COMBINE: dict[str, Combination] = {
    "mean": Combination("scores", mean),
    "maximum": Combination("scores", maximum),
    "softmax_of_mean_logits": Combination("logits", softmax_of_mean_logits),
}


def combination(labels: Labels) -> Combination:
    """The rule of a card."""
    return COMBINE[labels.combination]


def temper(scores: Array, temperature: float, kind: Literal["single", "multi"]) -> Array:
    """Calibrate scores with a temperature T ("On Calibration of Modern Neural Networks", Guo et al. 2017, section 4.2).

    The scores p of a video are what is tempered, not the logits of its views: softmax(log(p) / T), which is p^(1/T)
    divided by the sum of these, where labels exclude each other, and sigmoid(logit(p) / T) of each where they do not.
    The order of the labels stays as it is. Where the views' logits are averaged, or the best view counts,
    this is the same as dividing all logits by T; where softmax scores are averaged, it is not: there T belongs to the
    mean.

    Args:
        scores: (..., classes) in [0, 1].
        temperature: above 0; above 1 lowers the confidence, below 1 raises it. At 1, ``scores`` come back as they are.
        kind: as :attr:`nlvid_cli.card.card.Labels.kind`.
    """
    if temperature == 1.0:
        return scores
    powers = evidence(scores, kind) / temperature
    if kind == "multi":
        sigmoid: Array = np.exp(-np.logaddexp(0, -powers)).astype(np.float32)
        return sigmoid
    weights = np.exp(powers - powers.max(axis=-1, keepdims=True))
    result: Array = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result


def evidence(scores: Array, kind: Literal["single", "multi"]) -> NDArray[np.float64]:
    """The logarithms of scores, or their logits where any number of labels may be true; always finite.

    Scores are float32: 0 counts as the smallest normal number of these (1.2e-38), and in logits 1 as
    the largest below 1 (1 - 6e-8).
    """
    floor = np.finfo(np.float32).tiny
    if kind == "single":
        logarithms: NDArray[np.float64] = np.log(np.maximum(scores, floor, dtype=np.float64))
        return logarithms
    between = np.clip(scores, floor, np.nextafter(np.float32(1), np.float32(0)), dtype=np.float64)
    logits: NDArray[np.float64] = np.log(between) - np.log1p(-between)
    return logits
