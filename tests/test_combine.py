"""From views to the video, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.checkpoints.card import Labels
from nlvid_cli.combine import combination

VIEWS = np.array([[0.2, 0.8, 0.0], [0.6, 0.4, 0.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (Labels("single", 3), [0.4, 0.6, 0.0]),
        (Labels("multi", 3), [0.6, 0.8, 0.0]),
        (Labels("multi", 3, combine="mean"), [0.4, 0.6, 0.0]),
        # the means are 0.4, 0.6, 0; exp: 1.49182, 1.82212, 1; sum 4.31394
        (Labels("single", 3, combine="softmax_of_mean_logits"), [0.345814, 0.422379, 0.231807]),
    ],
)
def test_combine_by_hand(labels: Labels, expected: list[float]) -> None:
    np.testing.assert_allclose(combination(labels).combine(VIEWS), expected, atol=1e-6)


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([[1000.0, 0.0], [3000.0, 0.0]], dtype=np.float32)
    rule = combination(Labels("single", 2, combine="softmax_of_mean_logits"))
    assert rule.of == "logits"
    np.testing.assert_array_equal(rule.combine(logits), [1.0, 0.0])
