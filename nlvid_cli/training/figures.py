"""Figures on the training clips themselves, collected while the network learns from them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MultilabelAveragePrecision


class TrainFigure:
    """Top-1 accuracy, or mAP where any number of labels may be true, over all processes.

    Args:
        kind: ``single`` or ``multi``.
        classes: number of them.
        device: where the logits are.
    """

    def __init__(self, kind: str, classes: int, device: torch.device) -> None:
        self._several = kind == "multi"
        metric: Metric = (
            MultilabelAveragePrecision(classes)
            if self._several
            else MulticlassAccuracy(max(2, classes), average="micro")
        )
        metric.persistent(True)
        self._metric = metric.to(device)

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Of a forward pass, both (N, classes)."""
        wanted = (targets >= 0.5).long() if self._several else targets.argmax(dim=1)
        self._metric.update(logits.detach(), wanted)

    def take(self) -> float:
        """The figure in [0, 1], and begin anew."""
        value = float(self._metric.compute())
        self._metric.reset()
        return value

    def state(self) -> dict[str, Any]:
        """Of all processes together; every one has to call this."""
        with self._metric.sync_context():
            return copy.deepcopy(self._metric.state_dict())

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state`; in one process only, since it is that of all."""
        self._metric.load_state_dict(state)
