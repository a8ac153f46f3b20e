"""From the network's outputs for each view to the scores of the video, and their calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.card import Labels
from nlvid_cli.system.arrays import sigmoid, softmax

if TYPE_CHECKING:
    from nlvid_cli.backends import Outputs

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Combination:
    """How a published test makes one score per class of all views.

    Attributes:
        of: What it combines, the scores of the views or their logits.
        combine: (views, classes) of these to the scores of the video, (classes,), in [0, 1].
    """

    of: Literal["scores", "logits"]
    combine: Callable[[Array], Array]

    def pick(self, outputs: Outputs) -> Array:
        """Return what is combined, (views, classes), of a backend's outputs."""
        return outputs.logits if self.of == "logits" else outputs.scores


def mean(scores: Array) -> Array:
    """Mean over views, as "Non-local Neural Networks", section 4.1, averages softmax scores."""
    result: Array = scores.mean(axis=0)
    return result


def maximum(scores: Array) -> Array:
    """Best view of each class, as published for Charades (long-term feature banks)."""
    result: Array = scores.max(axis=0)
    return result


def softmax_of_mean_logits(logits: Array) -> Array:
    """Softmax of the mean over views: GluonCV and TSN (Temporal Segment Networks, its segmental consensus)."""
    return softmax(logits.mean(axis=0))


COMBINE: dict[str, Combination] = {
    "mean": Combination("scores", mean),
    "maximum": Combination("scores", maximum),
    "softmax_of_mean_logits": Combination("logits", softmax_of_mean_logits),
}


def combination(labels: Labels) -> Combination:
    """Return the combination that a card asks for."""
    return COMBINE[labels.combination]


def temper(scores: Array, temperature: float, kind: Literal["single", "multi"]) -> Array:
    """Calibrate scores with a temperature T ("On Calibration of Modern Neural Networks", Guo et al. 2017, section 4.2).

    T works on the scores p of a video, not on the logits of its views: softmax(log(p) / T), which is p^(1/T) divided by
    the sum of these, where labels exclude each other; sigmoid(logit(p) / T) of each label where they do not. The order
    of the labels does not change. Where the views' logits are averaged, or the best view counts, this is the same as
    dividing all logits by T. Where softmax scores are averaged it is not.

    Args:
        scores: (..., classes) in [0, 1].
        temperature: Above 0; above 1 lowers the confidence, below 1 raises it. At 1, ``scores`` is returned unchanged.
        kind: As :attr:`nlvid_cli.card.card.Labels.kind`.
    """
    if temperature == 1.0:
        return scores
    powers = evidence(scores, kind) / temperature
    calibrated: Array = (sigmoid if kind == "multi" else softmax)(powers).astype(np.float32)
    return calibrated


def evidence(scores: Array, kind: Literal["single", "multi"]) -> NDArray[np.float64]:
    """Return the logarithms of scores, or their logits where any number of labels may be true; always finite.

    Scores are float32: 0 counts as the smallest normal number of these (1.2e-38), and in logits 1 as the largest below
    1 (1 - 6e-8).
    """
    floor = np.finfo(np.float32).tiny
    if kind == "single":
        logarithms: NDArray[np.float64] = np.log(np.maximum(scores, floor, dtype=np.float64))
        return logarithms
    between = np.clip(scores, floor, np.nextafter(np.float32(1), np.float32(0)), dtype=np.float64)
    logits: NDArray[np.float64] = np.log(between) - np.log1p(-between)
    return logits
