"""What a step minimises, and how: losses, stochastic gradient descent, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlvid_cli.datasets.labelled import DataSet, Kind
from nlvid_cli.training.model import Trainee, is_norm
from nlvid_cli.training.recipe import Recipe


@dataclass(frozen=True)
class Loss:
    """Losses from logits and targets, both (N, classes), to the mean over the batch.

    Attributes:
        smoothing: Share of each target that is spread over all classes (softmax only).
        weights: Weights of the classes, 1 on average over the training videos (softmax only).
    """

    smoothing: float
    weights: Tensor

    def softmax(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy, with each clip weighted by its class."""
        smoothed = targets * (1 - self.smoothing) + self.smoothing / targets.shape[1]
        of_clips = F.cross_entropy(logits, smoothed, reduction="none")
        # not divided by the weights of this batch: the parts of a batch must add up to the whole of it
        return (of_clips * (targets @ self.weights.to(targets.device))).mean()

    def sigmoid(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross entropy ("Non-local Neural Networks", section 4.2), averaged over classes."""
        return F.binary_cross_entropy_with_logits(logits, targets)


def make_loss(recipe: Recipe, data: DataSet, label_kind: Kind) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss for models with one label per video (``single``) or several (``multi``)."""
    weights = class_weights(data) if recipe.class_weights and label_kind == "single" else np.ones(len(data.classes))
    loss = Loss(recipe.label_smoothing, torch.tensor(weights, dtype=torch.float32))
    return {"single": loss.softmax, "multi": loss.sigmoid}[label_kind]


def chance_loss(data: DataSet, label_kind: Kind) -> float:
    """Return the loss of guessing: all classes alike (single), or each as often as it is true (multi)."""
    if label_kind == "single":
        return float(np.log(max(2, len(data.classes))))
    counts = np.bincount([label for video in data.videos for label in video.labels], minlength=len(data.classes))
    shares = (counts / max(1, len(data.videos))).clip(1e-6, 1 - 1e-6)
    return float(-(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).mean())


def class_weights(data: DataSet) -> np.ndarray:
    """Return weights inversely proportional to the videos of each class, 1 on average over all videos: (classes,)."""
    counts = np.bincount([label for video in data.videos for label in video.labels], minlength=len(data.classes))
    present = counts > 0
    weights: np.ndarray = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)
    return weights


def make_optimizer(trainee: Trainee, recipe: Recipe) -> torch.optim.SGD:
    """Return SGD with momentum, without weight decay on normalisation.

    Each parameter group has a ``factor`` on the learning rate: the recipe's ``fresh_factor`` for fresh layers beside
    trained ones, and 1 for all others.
    """
    network = trainee.network
    norms = {id(own) for layer in network.modules() if is_norm(layer) for own in layer.parameters(recurse=False)}
    some_trained = any(name not in trainee.fresh for name, _ in network.named_parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        is_fitted = name.startswith("head.") and recipe.head_start == "linear"
        factor = recipe.fresh_factor if some_trained and name in trainee.fresh and not is_fitted else 1.0
        decay = 0.0 if id(parameter) in norms else recipe.weight_decay
        if parameter.requires_grad:
            groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.SGD(
        [
            {"params": parameters, "factor": factor, "weight_decay": decay}
            for (factor, decay), parameters in groups.items()
        ],
        lr=recipe.peak_learning_rate,
        momentum=recipe.momentum,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of each group to ``rate`` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def start_average(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all weights and statistics, for :func:`move_average`."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def move_average(average: dict[str, Tensor], network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network, faster in the first steps, while it still holds random weights."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    current = network.state_dict()
    for name, value in average.items():
        if value.is_floating_point():
            value.lerp_(current[name], share)
        else:
            value.copy_(current[name])
