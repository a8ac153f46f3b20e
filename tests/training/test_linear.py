"""Linear heads on fixed features, against scikit-learn's and by what they must know."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from nlvid_cli.training.linear import STRENGTHS, fit_head, mirroring_confuses


def clouds(videos: int, classes: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of different scales, and the class of each video."""
    rng = np.random.default_rng(seed)
    labels = np.arange(videos) % classes
    centers = np.random.default_rng(7).normal(size=(classes, 40))
    features = (centers[labels] + noise * rng.normal(size=(videos, 40))) * np.geomspace(0.01, 100, 40) + 5
    return features.astype(np.float32), np.eye(classes, dtype=np.float32)[labels]


@pytest.mark.parametrize("classes", [2, 5])
def test_as_good_as_a_probe_that_anybody_can_write(classes: int) -> None:
    features, targets = clouds(120, classes, 3.0)
    others, truth = clouds(2000, classes, 3.0, seed=1)
    head = fit_head(features, targets, "single", balanced=False)
    scaler = StandardScaler().fit(features)
    probe = LogisticRegression(max_iter=1000).fit(scaler.transform(features), targets.argmax(axis=1))
    ours = (head.logits(others).argmax(axis=1) == truth.argmax(axis=1)).mean()
    theirs = (probe.predict(scaler.transform(others)) == truth.argmax(axis=1)).mean()
    assert ours >= theirs - 0.005
    assert head.loss < head.chance_loss == pytest.approx(np.log(classes), rel=1e-3)
    assert head.strength in STRENGTHS


def test_it_is_the_logistic_regression_of_its_strength() -> None:
    features, targets = clouds(90, 3, 2.0)
    head = fit_head(features, targets, "single", balanced=True)
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    probe = LogisticRegression(C=head.strength, class_weight="balanced", max_iter=1000).fit(
        scaled, targets.argmax(axis=1)
    )
    logits = head.logits(features)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores, probe.predict_proba(scaled), atol=2e-3)


def test_rare_classes_count_as_much() -> None:
    features, targets = clouds(200, 2, 4.0)
    keep = np.concatenate([np.flatnonzero(targets[:, 0]), np.flatnonzero(targets[:, 1])[:10]])
    others, truth = clouds(1000, 2, 4.0, seed=1)
    rare = truth[:, 1] == 1
    recalls = [
        (fit_head(features[keep], targets[keep], "single", balanced).logits(others[rare]).argmax(axis=1) == 1).mean()
        for balanced in (True, False)
    ]
    assert recalls[0] > recalls[1]


def test_several_labels() -> None:
    features, targets = clouds(200, 4, 1.0)
    targets[:, 3] = targets[:, 0]  # two labels that are always true together
    head = fit_head(features, targets, "multi", balanced=False)
    assert ((head.logits(features) > 0) == (targets > 0.5)).mean() > 0.95
    assert head.loss < head.chance_loss


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_classes_that_no_video_shows_are_never_named(kind: str) -> None:
    features, targets = clouds(30, 3, 0.5)
    padded = np.concatenate([targets, np.zeros((30, 2), np.float32)], axis=1)
    head = fit_head(features, padded, kind, balanced=True)  # type: ignore[arg-type]
    assert (head.logits(features).argmax(axis=1) < 3).all()
    assert (head.logits(features)[:, 3:] < 0).all()


def test_few_videos_and_one_class() -> None:
    features, targets = clouds(3, 3, 0.5)
    assert fit_head(features, targets, "single", balanced=True).accuracy == 1
    alone = fit_head(features, np.eye(3, dtype=np.float32)[[1, 1, 1]], "single", balanced=True)
    assert alone.logits(features).argmax(axis=1).tolist() == [1, 1, 1]
    constant = fit_head(np.ones((6, 4), np.float32), np.eye(2, dtype=np.float32)[[0, 1] * 3], "single", balanced=False)
    assert np.isfinite(constant.logits(np.ones((1, 4), np.float32))).all()


def test_the_seed_decides_and_the_order_of_calls_does_not() -> None:
    features, targets = clouds(60, 3, 3.0)
    first, second = (fit_head(features, targets, "single", balanced=False, seed=3) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)


def test_clips_of_a_video_do_not_judge_each_other() -> None:
    """Clips of a video are alike and say nothing of its class; a fold that splits a video would know them all."""
    rng = np.random.default_rng(0)
    labels, mirrored = rng.permutation(np.arange(60) % 2).repeat(4), np.tile([False, True, False, False], 60)
    features = rng.normal(size=(60, 200)).astype(np.float32).repeat(4, axis=0)
    features[mirrored] = rng.normal(size=(60, 200))
    assert not mirroring_confuses(features, labels, np.arange(60).repeat(4), mirrored, seed=0)
    assert mirroring_confuses(features, labels, np.arange(240), mirrored, seed=0)


@pytest.mark.parametrize("sided", [True, False])
def test_whether_classes_depend_on_left_and_right(sided: bool) -> None:
    rng = np.random.default_rng(0)
    labels, mirrored = np.arange(60).repeat(4) % 2, np.tile([False, True, False, False], 60)
    shown = np.where(mirrored & sided, 1 - labels, labels)
    features = (rng.normal(size=(240, 30)) + np.outer(shown, np.linspace(0, 1, 30))).astype(np.float32)
    assert mirroring_confuses(features, labels, np.arange(60).repeat(4), mirrored, seed=0) is sided


def test_too_few_videos_to_tell_left_from_right() -> None:
    features = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    labels, mirrored = np.array([0] * 4 + [1] * 4), np.tile([False, True, False, False], 2)
    assert not mirroring_confuses(features, labels, np.arange(2).repeat(4), mirrored, seed=0)
