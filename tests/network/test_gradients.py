"""Gradients of a class, in every form of a network, against the plain network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlvid_cli.network.build import load_network
from nlvid_cli.network.gradients import class_gradients
from nlvid_cli.network.inference import inference_form
from nlvid_cli.network.nonlocal_block import block_of
from tests.small_networks import NETWORKS, random_weights


def _clip() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 8, 48, 56), dtype=np.float32))


@pytest.mark.parametrize("name", NETWORKS)
def test_first_order_effects_are_what_happens(name: str) -> None:
    """The logit moves as the gradients say if a little of a map, or of what a block adds, is taken away."""
    card = NETWORKS[name]
    network = inference_form(load_network(card, random_weights(card)), torch.device("cpu"), torch.float32)
    assert card.architecture.nonlocal_blocks is not None
    (block,) = card.architecture.nonlocal_blocks.after
    found = class_gradients(network, _clip(), 1, [block])
    share = 1e-3

    def logit_with_less(module: torch.nn.Module) -> float:
        handle = module.register_forward_hook(lambda _, inputs, output: output * (1 - share))
        with torch.inference_mode():
            logit = float(network(_clip()).mean(dim=(2, 3, 4))[0, 1])
        handle.remove()
        return logit

    expected = float((found.added[block] * found.added_gradient[block]).sum()) * share
    assert found.logit - logit_with_less(block_of(network, block).out) == pytest.approx(expected, rel=0.05, abs=1e-5)
    bias = float(network.get_submodule("head").classifier.bias[1])
    at_head = float((found.features * found.feature_gradient).sum()) + bias
    assert at_head == pytest.approx(found.logit, rel=1e-4, abs=1e-5)  # the head is linear


@pytest.mark.parametrize("name", NETWORKS)
def test_the_fast_form_has_the_gradients_of_the_network(name: str) -> None:
    card = NETWORKS[name]
    assert card.architecture.nonlocal_blocks is not None
    blocks = card.architecture.nonlocal_blocks.after
    network = load_network(card, random_weights(card)).requires_grad_(False)
    wide = torch.float64  # a value next to zero is on one side of a ReLU here and on the other there, in float32
    fast = class_gradients(inference_form(network, torch.device("cpu"), wide), _clip().double(), 2, blocks)
    plain = class_gradients(network.double(), _clip().double(), 2, blocks)
    assert fast.logit == pytest.approx(plain.logit, rel=1e-4, abs=1e-5)
    for one, other in (
        (plain.features, fast.features),
        (plain.feature_gradient, fast.feature_gradient),
        (plain.added[blocks[0]], fast.added[blocks[0]]),
        # of equal values in a window of a max pool, either may get the gradient; they are of one channel
        (plain.added_gradient[blocks[0]].sum(dim=(1, 2, 3)), fast.added_gradient[blocks[0]].sum(dim=(1, 2, 3))),
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def test_no_hook_is_left() -> None:
    card = NETWORKS["Inception, SAME padding, a block"]
    network = load_network(card, random_weights(card))
    class_gradients(network, _clip(), 0, ["mixed_3b"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_gradients_at_every_position(dtype: torch.dtype) -> None:
    card = NETWORKS["dot product, bottlenecks, dilation"]
    network = load_network(card, random_weights(card))
    network.get_submodule("head").classifier.weight.data *= 1e-5  # gradients as small as in large networks
    half = class_gradients(inference_form(network, torch.device("cpu"), dtype), _clip().to(dtype), 1, ["res3.0"])
    wide = class_gradients(inference_form(network, torch.device("cpu"), torch.float32), _clip(), 1, ["res3.0"])
    one, other = half.added_gradient["res3.0"].flatten(), wide.added_gradient["res3.0"].flatten()
    assert float(torch.nn.functional.cosine_similarity(one, other, dim=0)) > 0.95
    assert float(one.norm() / other.norm()) == pytest.approx(1, abs=0.05)
