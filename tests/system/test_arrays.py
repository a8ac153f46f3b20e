"""Softmax and sigmoid by hand, and far out."""

from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.system.arrays import sigmoid, softmax


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_by_hand(kind: type) -> None:
    rows = softmax(np.log(np.array([[1, 3], [2, 2]], kind)))
    np.testing.assert_allclose(rows, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-6)
    scores = sigmoid(np.array([0, np.log(3)], kind))
    np.testing.assert_allclose(scores, [0.5, 0.75], rtol=1e-6)
    assert rows.dtype == scores.dtype == kind


def test_large_values_do_not_overflow() -> None:
    far = np.array([-1e4, 0, 1e4])
    np.testing.assert_array_equal(softmax(far), [0, 0, 1])
    np.testing.assert_array_equal(sigmoid(far), [0, 0.5, 1])
