"""Figures against tables worked by hand and against those of scikit-learn 1.9 for the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.evaluation.metrics import (
    COLDEST,
    HOTTEST,
    average_precision,
    average_precisions,
    calibration_error,
    calibration_error_of,
    charades_average_precisions,
    class_accuracies,
    confusion_matrix,
    fit_temperature,
    mean_over_classes,
    negative_log_likelihood,
    one_hot,
    ranking,
    top_k_accuracy,
)
from nlvid_cli.recognize.combine import temper


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray]:
    """40 videos of 6 classes: overconfident scores, (40, 6) and (40,)."""
    rng = np.random.RandomState(7)
    logits = rng.standard_normal((40, 6))
    targets = rng.randint(0, 6, 40)
    logits[np.arange(40), targets] += 1.2
    powers = np.exp(3 * logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), targets


def test_accuracies_and_confusion_equal_scikit_learn(made: tuple[np.ndarray, np.ndarray]) -> None:
    scores, targets = made
    assert top_k_accuracy(scores, targets, 1) == pytest.approx(0.525)
    assert top_k_accuracy(scores, targets, 2) == pytest.approx(0.725)
    confusion = confusion_matrix(ranking(scores)[:, 0], targets, 6)
    assert confusion.tolist() == [
        [4, 0, 0, 1, 1, 2],
        [0, 3, 0, 1, 1, 1],
        [1, 1, 4, 0, 0, 1],
        [0, 0, 0, 3, 1, 0],
        [2, 0, 2, 1, 4, 0],
        [0, 1, 0, 1, 1, 3],
    ]
    assert mean_over_classes(class_accuracies(confusion)) == pytest.approx(0.5443121693)
    assert negative_log_likelihood(scores, one_hot(targets, 6), "single") == pytest.approx(1.6155752, rel=1e-6)


def test_a_class_without_videos_is_left_out_of_the_mean() -> None:
    confusion = confusion_matrix(np.array([0, 2, 2]), np.array([0, 0, 2]), 3)
    assert confusion.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    np.testing.assert_array_equal(class_accuracies(confusion), [0.5, np.nan, 1.0])
    assert mean_over_classes(class_accuracies(confusion)) == 0.75
    assert np.isnan(mean_over_classes(np.array([np.nan])))


def test_of_equal_scores_the_first_class_counts() -> None:
    scores = np.array([[0.4, 0.4, 0.2]], np.float32)
    assert top_k_accuracy(scores, np.array([0]), 1) == 1.0
    assert top_k_accuracy(scores, np.array([1]), 1) == 0.0
    assert top_k_accuracy(scores, np.array([1]), 5) == 1.0


def test_average_precision_by_hand() -> None:
    # ranks 1, 3 and 4 are relevant: (1/1 + 2/3 + 3/4) / 3
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    relevant = np.array([True, False, True, True, False])
    assert average_precision(scores, relevant) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert np.isnan(average_precision(scores, np.zeros(5, bool)))


def test_average_precision_of_equal_scores_does_not_depend_on_the_order() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5], np.float32)  # recall 1 at precision 2/4 at once, after 1/2 at 1/1
    for relevant in ([True, True, False, False], [True, False, False, True]):
        assert average_precision(scores, np.array(relevant)) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 4)


def test_average_precisions_equal_scikit_learn() -> None:
    """30 videos, 4 classes, scores of one decimal, so that many are equal."""
    rng = np.random.RandomState(7)
    rng.standard_normal((40, 6)), rng.randint(0, 6, 40)  # the numbers that came before when these were computed
    scores = np.round(rng.uniform(size=(30, 4)), 1).astype(np.float32)
    relevant = rng.uniform(size=(30, 4)) < 0.3
    assert not relevant.any(axis=1).all()
    np.testing.assert_allclose(
        average_precisions(scores, relevant), [0.4516553783, 0.4803188369, 0.1731129617, 0.4124676386], rtol=1e-9
    )


def test_videos_without_labels_are_negatives_except_in_the_charades_test() -> None:
    """Video 0 has no label. By scikit-learn it is a false positive before the hit of class 0, at precision 1/2."""
    scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.1, 0.2]], np.float32)
    relevant = np.array([[False, False], [True, False], [False, True]])
    np.testing.assert_allclose(average_precisions(scores, relevant), [0.5, 0.5])
    np.testing.assert_allclose(charades_average_precisions(scores, relevant), [1.0, 0.5])


def test_calibration_error_by_hand() -> None:
    # two bins: (0, 0.5] holds 0.2 and 0.4, one of two right; (0.5, 1] holds 0.9, 0.9 and 1.0, two of three right
    confidence = np.array([0.2, 0.4, 0.9, 0.9, 1.0], np.float32)
    right = np.array([True, False, True, True, False])
    expected = 2 / 5 * abs(1 / 2 - 0.3) + 3 / 5 * abs(2 / 3 - 2.8 / 3)
    assert calibration_error(confidence, right, bins=2) == pytest.approx(expected, rel=1e-6)


def test_an_edge_belongs_to_the_bin_below() -> None:
    confidence = np.array([0.5, 0.75, 0.0], np.float32)
    right = np.array([True, False, False])
    # bins of two: {0.5, 0.0} and {0.75}
    assert calibration_error(confidence, right, bins=2) == pytest.approx(2 / 3 * abs(0.5 - 0.25) + 1 / 3 * 0.75)


def test_calibration_error_of_best_scores_or_of_all() -> None:
    scores = np.array([[0.7, 0.3], [0.6, 0.4]], np.float32)
    relevant = np.array([[True, False], [False, True]])
    assert calibration_error_of(scores, relevant, "single") == pytest.approx((0.3 + 0.6) / 2, rel=1e-6)
    assert calibration_error_of(scores, relevant, "multi") == pytest.approx((0.3 + 0.3 + 0.6 + 0.6) / 4, rel=1e-6)


def test_temperature_in_closed_form() -> None:
    """All videos at p = 0.9 and 3 of 4 right: sigmoid(logit(0.9) / T) = 3/4 gives T = log 9 / log 3 = 2."""
    scores = np.tile(np.array([0.9, 0.1], np.float32), (4, 1))
    relevant = one_hot(np.array([0, 0, 0, 1]), 2)
    assert fit_temperature(scores, relevant, "single") == pytest.approx(2.0, rel=1e-5)
    assert fit_temperature(scores[:, :1], relevant[:, :1], "multi") == pytest.approx(2.0, rel=1e-5)
    underconfident = np.tile(np.array([0.75, 0.25], np.float32), (10, 1))  # 9 of 10 right: T = log 3 / log 9
    assert fit_temperature(underconfident, one_hot(np.array([0] * 9 + [1]), 2), "single") == pytest.approx(0.5)


def test_temperature_is_the_minimum_and_lowers_the_calibration_error(made: tuple[np.ndarray, np.ndarray]) -> None:
    scores, targets = made
    relevant = one_hot(targets, 6)
    best = fit_temperature(scores, relevant, "single")
    assert best > 1.5  # the logits were multiplied by 3

    def loss(temperature: float) -> float:
        return negative_log_likelihood(temper(scores, temperature, "single"), relevant, "single")

    assert loss(best) < min(loss(best * 0.98), loss(best * 1.02), loss(1.0))
    before = calibration_error_of(scores, relevant, "single")
    assert calibration_error_of(temper(scores, best, "single"), relevant, "single") < before / 2
    again = fit_temperature(temper(scores, best, "single"), relevant, "single")
    assert again == pytest.approx(1.0, abs=1e-3)


def test_temperature_is_at_a_limit_where_the_data_determines_none() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    assert fit_temperature(scores, one_hot(np.array([0, 1]), 2), "single") == COLDEST
    assert fit_temperature(scores, one_hot(np.array([1, 0]), 2), "single") == HOTTEST
    certain = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)  # and right one time in two
    assert fit_temperature(certain, one_hot(np.array([0, 1]), 2), "single") == HOTTEST


def test_likelihood_of_several_labels_by_hand() -> None:
    scores = np.array([[0.8, 0.1]], np.float32)
    relevant = np.array([[True, False]])
    expected = -(np.log(0.8) + np.log(0.9)) / 2
    assert negative_log_likelihood(scores, relevant, "multi") == pytest.approx(expected, rel=1e-6)
