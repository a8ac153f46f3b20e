"""A backend without a network, for tests of what surrounds it."""

from __future__ import annotations

import numpy as np

from nlvid_cli.backends import SCORES_ONLY, Outputs, Want
from nlvid_cli.system.arrays import softmax

MIX = np.random.RandomState(0).normal(0, 8, (6, 5)).astype(np.float32)


class Colours:
    """Scores of five labels from the mean colours of both halves of a view: different views have different scores."""

    name, device, precision, views_per_batch = "torch", "cpu", "fp32", 2

    def outputs(self, views: np.ndarray, want: Want = SCORES_ONLY) -> Outputs:
        left, right = np.split(views, 2, axis=4)
        means = np.concatenate([half.mean(axis=(2, 3, 4)) for half in (left, right)], axis=1)  # (views, 6)
        logits = means @ MIX
        return Outputs(logits, softmax(logits))
