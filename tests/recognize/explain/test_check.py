"""Deletion and insertion, of a network that looks at one place."""

from __future__ import annotations

import numpy as np
import pytest

from nlvid_cli.backends import SCORES_ONLY, Outputs, Want
from nlvid_cli.card.geometry import MapAxis
from nlvid_cli.recognize.explain.check import STEPS, Check, blur


class OnePlace:
    """The score is how sharp one part of the view is: frames 4 to 8, rows 16 to 32, columns 32 to 48."""

    name, device, precision, views_per_batch = "torch", "cpu", "fp32", 3

    def __init__(self) -> None:
        self.views = 0

    def outputs(self, views: np.ndarray, want: Want = SCORES_ONLY) -> Outputs:
        self.views += len(views)
        assert len(views) <= self.views_per_batch
        part = views[:, :, 4:8, 16:32, 32:48]
        sharpness = np.abs(np.diff(part, axis=4)).mean(axis=(1, 2, 3, 4))
        scores = np.stack([1 - sharpness, sharpness], axis=1)
        return Outputs(scores, scores)

    def gradients(self, *arguments: object) -> object:
        raise AssertionError


@pytest.fixture(scope="module")
def view() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (1, 3, 16, 112, 112)).astype(np.float32)


def _check(view: np.ndarray) -> tuple[Check, OnePlace]:
    backend = OnePlace()
    return Check(backend, view, 1), backend  # type: ignore[arg-type]


def test_the_order_that_knows_the_place_is_the_best(view: np.ndarray) -> None:
    check, backend = _check(view)
    assert check.size == (8, 14, 14)
    right = np.zeros(check.size)
    right[2:4, 2:4, 4:6] = 1
    curves = {"right": check.curves(right), "wrong": check.curves(-right)}
    curves |= {name: check.curves(order) for name, order in check.plain_orders().items()}
    assert backend.views == 2 + len(curves) * 2 * (STEPS - 1)
    assert 2 * (STEPS - 1) + 2 <= 2 * 16
    assert curves["right"].difference > 0.8 * 0.5
    assert curves["wrong"].difference < -0.8 * 0.5 + 0.1
    assert curves["right"].difference > curves["random"].difference + 0.3
    for curve in curves.values():
        assert len(curve.deletion_scores) == len(curve.insertion_scores) == STEPS + 1
        assert curve.deletion_scores == pytest.approx(curve.deletion_scores)
        assert curve.deletion_scores[0] == curve.insertion_scores[-1] == pytest.approx(0.5, abs=0.05)
        assert curve.deletion_scores[-1] == curve.insertion_scores[0] < 0.05


def test_the_mean_score_of_a_curve(view: np.ndarray) -> None:
    check, _ = _check(view)
    curves = check.curves(np.zeros(check.size))
    scores = np.array(curves.deletion_scores)
    assert curves.deletion == pytest.approx(((scores[1:] + scores[:-1]) / 2).mean())
    assert curves.difference == curves.insertion - curves.deletion


def test_motion_and_centre(view: np.ndarray) -> None:
    still = np.repeat(view[:, :, :1], 16, axis=2)
    still[:, :, 8:, 80:88, 8:16] += 1  # something happens from frame 7 to frame 8, in one cell
    orders = _check(still)[0].plain_orders()
    assert np.unravel_index(orders["motion"].argmax(), (8, 14, 14)) == (4, 10, 1)
    assert (orders["motion"] > 0).sum() == 1
    _, row, column = np.unravel_index(orders["centre"].argmax(), (8, 14, 14))
    assert {int(row), int(column)} <= {6, 7}
    assert sorted(orders["random"].ravel()) == list(range(8 * 14 * 14))


def test_maps_are_interpolated_between_their_places(view: np.ndarray) -> None:
    check, _ = _check(view)
    axes = (MapAxis(4, 1.0, 4), MapAxis(14, 3.0, 8), MapAxis(7, 7.0, 16))
    time, row, column = (axis.first + axis.step * np.arange(axis.length) for axis in axes)
    ramp = (time[:, None, None] + 10 * row[:, None] + 100 * column).astype(np.float32)
    cells = check.at_cells(ramp, axes)
    assert cells.shape == (8, 14, 14)
    # the centre of the cell in frames 2 to 4, rows 24 to 32 and columns 40 to 48
    assert cells[1, 3, 5] == pytest.approx(2.5 + 10 * 27.5 + 100 * 43.5)
    assert cells[0, 0, 0] == pytest.approx(1.0 + 10 * 3.5 + 100 * 7.0)  # before the first place there is its value


def test_small_views_have_fewer_cells() -> None:
    check, _ = _check(np.zeros((1, 3, 5, 112, 50), np.float32))
    assert check.size == (5, 14, 14)
    assert [edges[-1] for edges in check.edges] == [5, 112, 50]


def test_the_blur_keeps_the_brightness_and_takes_the_detail(view: np.ndarray) -> None:
    blurred = blur(view[0])
    assert blurred.dtype == np.float32
    assert blurred.shape == view[0].shape
    assert blurred.mean() == pytest.approx(view.mean(), abs=0.01)
    assert blurred.std() < 0.1 * view.std()
    np.testing.assert_allclose(blur(np.full((3, 2, 30, 30), 7, np.float32)), 7, rtol=1e-5)
