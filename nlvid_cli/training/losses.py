"""Losses, and the weights of classes in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.training.recipe import Recipe


@dataclass(frozen=True)
class Loss:
    """From logits and targets, both (N, classes), to the mean over the batch.

    Attributes:
        smoothing: share of a target that goes to all classes alike; softmax only.
        weights: of the classes, 1 on average over the training videos; softmax only.
    """

    smoothing: float
    weights: Tensor

    def softmax(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy; a clip counts as much as its class weighs."""
        smoothed = targets * (1 - self.smoothing) + self.smoothing / targets.shape[1]
        of_clips = F.cross_entropy(logits, smoothed, reduction="none")
        # not divided by the weights of this batch: parts of a batch must add up to the whole of it
        return (of_clips * (targets @ self.weights.to(targets.device))).mean()

    def sigmoid(self, logits: Tensor, targets: Tensor) -> Tensor:
        """One yes or no for each class ("Non-local Neural Networks", section 4.2), averaged over classes."""
        return F.binary_cross_entropy_with_logits(logits, targets)


def make_loss(recipe: Recipe, data: DataSet, kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss for models of that kind, ``single`` or ``multi``."""
    weights = class_weights(data) if recipe.class_weights and kind == "single" else np.ones(len(data.classes))
    loss = Loss(recipe.label_smoothing, torch.tensor(weights, dtype=torch.float32))
    return {"single": loss.softmax, "multi": loss.sigmoid}[kind]


def class_weights(data: DataSet) -> np.ndarray:
    """In inverse proportion to the videos of each class, 1 on average over all videos: (classes,)."""
    counts = np.bincount([label for video in data.videos for label in video.labels], minlength=len(data.classes))
    present = counts > 0
    weights: np.ndarray = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)
    return weights
