"""From what the network says of each view to the scores of the video: the last station of the road."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.checkpoints.card import Labels

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
