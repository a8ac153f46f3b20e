"""From views to the video, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.card.card import Labels
from nlvid_cli.recognize.combine import COMBINE, combination, temper

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


def test_temperature_of_one_changes_no_bit() -> None:
    scores = np.array([0.2, 0.8, 0.0], np.float32)
    assert temper(scores, 1.0, "single") is scores
    assert temper(scores, 1.0, "multi") is scores


def test_temperature_by_hand() -> None:
    # p = 1/10, 9/10 at T = 2: square roots 1 and 3 out of 4; at T = 1/2: squares 1 and 81 out of 82
    scores = np.array([0.1, 0.9], np.float32)
    np.testing.assert_allclose(temper(scores, 2.0, "single"), [1 / 4, 3 / 4], rtol=1e-6)
    np.testing.assert_allclose(temper(scores, 0.5, "single"), [1 / 82, 81 / 82], rtol=1e-6)
    # each for itself: odds of 1/9 and 9 become 1/3 and 3
    np.testing.assert_allclose(temper(scores, 2.0, "multi"), [1 / 4, 3 / 4], rtol=1e-6)
    np.testing.assert_allclose(temper(np.array([0.5, 0.9], np.float32), 2.0, "multi"), [1 / 2, 3 / 4], rtol=1e-6)


def test_temperature_of_averaged_logits_divides_the_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (4, 6)).astype(np.float32)
    rule = COMBINE["softmax_of_mean_logits"].combine
    np.testing.assert_allclose(temper(rule(logits), 1.7, "single"), rule(logits / np.float32(1.7)), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 20.0])
def test_scores_of_0_and_1_stay_finite(temperature: float) -> None:
    scores = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    assert temper(scores, temperature, "single").argmax(axis=1).tolist() == [1, 0]
    for tempered in (temper(scores, temperature, "single"), temper(scores, temperature, "multi")):
        assert tempered.dtype == np.float32
        assert ((tempered >= 0) & (tempered <= 1)).all()
