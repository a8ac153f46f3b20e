from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nlvid_cli.card.card import Card
from nlvid_cli.network.build import build_network, load_weights
from nlvid_cli.network.inception3d import SamePadMaxPool3d
from nlvid_cli.network.inference import SeparableMaxPool3d, inference_form

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(card: Card, random_tensors: dict[str, np.ndarray]) -> nn.Module:
    network = build_network(card)
    load_weights(network, {name: torch.from_numpy(array) for name, array in random_tensors.items()}, "test")
    return network


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 5), (1, 1, 1)])
@pytest.mark.parametrize("size", [(4, 6, 7), (1, 2, 3), (2, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_separable_pool_is_the_pool_bit_for_bit(
    kernel: tuple[int, int, int], size: tuple[int, int, int], dtype: torch.dtype
) -> None:
    x = torch.randn(2, 8, *size).to(dtype).contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(SeparableMaxPool3d(kernel)(x), SamePadMaxPool3d(kernel, (1, 1, 1))(x))


def test_same_outputs_as_the_plain_network(network: nn.Module) -> None:
    x = torch.randn(2, 3, 16, 64, 64)
    with torch.inference_mode():
        expected = network(x)
        fast = inference_form(network, CPU, torch.float32)
        assert (fast(x) - expected).abs().max() < 1e-4 * expected.abs().max()
        half = inference_form(network, CPU, torch.bfloat16)
        assert (half(x.bfloat16()) - expected).abs().max() < 3e-2 * expected.abs().max()


def test_nothing_is_left_to_fold_and_the_head_stays_in_fp32(network: nn.Module) -> None:
    fast = inference_form(network, CPU, torch.bfloat16)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in fast.modules())
    assert fast.get_submodule("head.classifier").weight.dtype == torch.float32
    assert fast.get_submodule("conv_2c.conv").weight.dtype == torch.bfloat16
    assert fast.get_submodule("conv_2c.conv").weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_the_network_itself_stays_as_it_is(network: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inference_form(network, CPU, torch.bfloat16)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
