"""Softmax and sigmoid, in numpy and in the precision of their argument."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)


def softmax(logits: NDArray[Real]) -> NDArray[Real]:
    """Softmax over the last axis; large values do not overflow."""
    powers: NDArray[Real] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def sigmoid(logits: NDArray[Real]) -> NDArray[Real]:
    """Sigmoid of each value; large values do not overflow."""
    scores: NDArray[Real] = np.exp(-np.logaddexp(0, -logits))
    return scores
