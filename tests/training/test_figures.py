"""Figures on training clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlvid_cli.datasets.formats.charades import class_names
from nlvid_cli.training.figures import TrainFigure


def test_top1_of_all_clips_since_the_last_figure() -> None:
    figure = TrainFigure("single", ("a", "b", "c"))
    figure.add(torch.tensor([[3.0, 1, 0], [0, 2, 1]]), torch.eye(3)[:2])
    figure.add(torch.tensor([[3.0, 1, 0]]), torch.tensor([[0.1, 0.9, 0]]))  # mixed with the second class
    assert figure.take() == pytest.approx(2 / 3)
    assert np.isnan(figure.take())


def test_map_counts_clips_without_a_label_except_for_charades() -> None:
    logits = torch.tensor([[2.0, -1], [1, 3], [3, -2]])
    targets = torch.tensor([[1.0, 0], [0, 1], [0, 0]])
    figure = TrainFigure("multi", ("a", "b"))
    figure.add(logits, targets)
    assert figure.take() == pytest.approx((1 / 2 + 1) / 2)
    names = class_names()
    padded = torch.full((3, len(names)), -9.0), torch.zeros(3, len(names))
    padded[0][:, :2], padded[1][:, :2] = logits, targets
    figure = TrainFigure("multi", names)
    figure.add(*padded)
    assert figure.take() == 1.0  # of the two classes that a clip shows


@pytest.mark.parametrize("label_kind", ["single", "multi"])
def test_a_resumed_figure_counts_earlier_clips(label_kind: str) -> None:
    logits, targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.eye(3).repeat(2, 1)
    whole, before, after = (TrainFigure(label_kind, ("a", "b", "c")) for _ in range(3))  # type: ignore[arg-type]
    whole.add(logits, targets)
    before.add(logits[:4], targets[:4])
    after.load(before.state())
    after.add(logits[4:], targets[4:])
    assert after.take() == whole.take()


@pytest.mark.parametrize("label_kind", ["single", "multi"])
def test_a_run_resumed_after_a_validation_counts_its_own_clips(label_kind: str) -> None:
    logits, targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.eye(3).repeat(2, 1)
    whole, before, after = (TrainFigure(label_kind, ("a", "b", "c")) for _ in range(3))  # type: ignore[arg-type]
    before.add(logits, targets)
    before.take()
    after.load(before.state())
    assert np.isnan(after.take())
    after.load(before.state())
    whole.add(logits, targets)
    after.add(logits, targets)
    assert after.take() == whole.take()
