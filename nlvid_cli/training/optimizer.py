"""Stochastic gradient descent, and the moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nlvid_cli.network.units import ChannelAffine
from nlvid_cli.training.model import Trainee
from nlvid_cli.training.recipe import Recipe


def make_optimizer(trainee: Trainee, recipe: Recipe) -> torch.optim.SGD:
    """SGD with momentum, in groups.

    Each group has a ``factor`` on the learning rate, that of fresh layers beside trained ones or 1; normalisation does
    not decay.
    """
    network = trainee.network
    norms = {id(own) for layer in network.modules() if _is_norm(layer) for own in layer.parameters(recurse=False)}
    some_trained = any(name not in trainee.fresh for name, _ in network.named_parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = recipe.fresh_factor if some_trained and name in trainee.fresh else 1.0
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
    """Give each group its own."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def start_average(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and statistics, to be moved by :func:`move_average`."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def move_average(average: dict[str, Tensor], network: nn.Module, decay: float, step: int) -> None:
    """Let the average follow the network; faster in the first steps, when it is still about random weights."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    current = network.state_dict()
    for name, value in average.items():
        if value.is_floating_point():
            value.lerp_(current[name], share)
        else:
            value.copy_(current[name])


def _is_norm(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm | ChannelAffine)
