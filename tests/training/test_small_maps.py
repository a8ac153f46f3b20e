"""Gradients in bf16 where kernels are larger than maps."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nlvid_cli.training.small_maps import make_safe

CASES = [((3, 1, 1), (2, 3, 3)), ((5, 1, 1), (4, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((5, 7, 7), (4, 8, 8))]


@pytest.mark.parametrize(("kernel", "size"), CASES)
def test_the_gradient_is_that_of_fp32(kernel: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    pads = tuple(length // 2 for length in kernel)
    plain = nn.Sequential(nn.Conv3d(32, 32, kernel, padding=pads, bias=False))
    safe = copy.deepcopy(plain)
    make_safe(safe)
    clips = torch.randn(2, 32, *size)
    towards = torch.randn_like(plain(clips))
    (plain(clips) * towards).sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = safe(clips)
    (outputs * towards).sum().backward()
    expected, found = (network[0].weight.grad for network in (plain, safe))
    assert expected is not None
    assert found is not None
    torch.testing.assert_close(found, expected)
    assert list(safe.state_dict()) == list(plain.state_dict())


def test_larger_maps_are_computed_in_bf16() -> None:
    network = nn.Sequential(nn.Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0)), nn.Conv3d(4, 4, 1))
    make_safe(network)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.randn(1, 4, 3, 1, 1)).dtype == torch.bfloat16
        assert network[0](torch.randn(1, 4, 2, 1, 1)).dtype == torch.float32
