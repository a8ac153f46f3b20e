"""One forward and backward pass: the last feature map, what each non-local block adds, and the gradients of a class."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nlvid_cli.network.head import mean_logits
from nlvid_cli.network.nonlocal_block import block_of

SCALE = 2.0**12
"""Factor of the gradients on their way: those of single positions are too small for float16."""


@dataclass
class ClassGradients:
    """Maps of one view, and gradients of the logit of one class with respect to them.

    Attributes:
        logit: The logit, averaged over the positions of a convolutional head.
        features: (channels, T', H', W'), the input of the head, in float32.
        feature_gradient: The gradient with respect to it.
        added: By name of a block, W y of "Non-local Neural Networks", equation 6: (channels, T, H, W).
        added_gradient: The gradient with respect to that.
    """

    logit: float
    features: Tensor
    feature_gradient: Tensor
    added: dict[str, Tensor]
    added_gradient: dict[str, Tensor]


@dataclass
class _Kept:
    features: list[Tensor] = field(default_factory=list)
    added: dict[str, Tensor] = field(default_factory=dict)


def class_gradients(network: nn.Module, view: Tensor, label: int, blocks: Collection[str] = ()) -> ClassGradients:
    """Run a network forward, and backward to the first map that is asked for.

    Nothing before that map is kept in memory. Several threads may run the same network at the same time.

    Args:
        network: As ``build_network`` returns it, in evaluation mode, or its inference form.
        view: (1, 3, T, H, W).
        label: Index of the class.
        blocks: Names of non-local blocks, as in the card.
    """
    with torch.inference_mode(False), torch.enable_grad(), _maps_kept(network, blocks) as kept:
        logit = mean_logits(network(view))[0, label]
        names = list(kept.added)
        gradients = torch.autograd.grad(logit * SCALE, [*kept.features, *kept.added.values()])
    return ClassGradients(
        float(logit.detach()),
        kept.features[0].detach()[0],
        gradients[0][0] / SCALE,
        {name: kept.added[name].detach()[0].float() for name in names},
        {name: gradient[0].float() / SCALE for name, gradient in zip(names, gradients[1:], strict=True)},
    )


@contextmanager
def _maps_kept(network: nn.Module, blocks: Collection[str]) -> Iterator[_Kept]:
    """Keep the maps of the passes of this thread, tracked for gradients."""
    kept, thread = _Kept(), threading.get_ident()

    def tracked(x: Tensor) -> Tensor:
        return x if x.requires_grad else x.detach().requires_grad_()

    def keep_features(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if threading.get_ident() != thread:  # threads share the module, and each adds its own hooks
            return None
        kept.features.append(tracked(inputs[0].float()))  # the head computes in float32
        return (kept.features[0],)

    def keep_added(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if threading.get_ident() == thread:
                output = kept.added[name] = tracked(output)
            return output

        return keep

    handles = [network.get_submodule("head").register_forward_pre_hook(keep_features)]
    handles += [block_of(network, name).out.register_forward_hook(keep_added(name)) for name in blocks]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
