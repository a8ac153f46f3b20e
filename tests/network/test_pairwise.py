"""Each sum against a plain version, which builds the matrix of all pairs and is obviously right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nlvid_cli.network import pairwise
from nlvid_cli.network.pairwise import concatenation_sum, dot_product_sum, softmax_sum


def plain_softmax(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    return (theta @ phi.transpose(1, 2) * scale).softmax(dim=2) @ g


def plain_dot_product(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    return (theta @ phi.transpose(1, 2) * scale / phi.shape[1]) @ g


def plain_concatenation(a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    return torch.relu(a[:, :, None] + b[:, None, :]) / b.shape[1] @ g


@pytest.fixture(params=["direct", "indirect"], autouse=True, scope="module")
def paths(request: pytest.FixtureRequest) -> Iterator[None]:
    """Small tensors only take the direct paths, so all tests run once more without them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "indirect":
            patch.setattr(pairwise, "BLOCK_PAIRS", 7)
            patch.setattr(pairwise, "DIRECT_PAIRS_PER_POSITION", dict.fromkeys(DTYPES, 0))
        yield


DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

PRODUCTS = [(softmax_sum, plain_softmax), (dot_product_sum, plain_dot_product)]
SIZES = st.tuples(*(st.integers(1, 9) for _ in range(5)))


def _draw(*sizes: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(sum(map(sum, sizes)))
    return [torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes]


@pytest.mark.parametrize(("fast", "plain"), PRODUCTS)
@settings(max_examples=40, deadline=None)
@given(SIZES)
def test_products_equal_the_plain_ones(fast, plain, sizes) -> None:
    batch, positions, keys, depth, width = sizes
    tensors = _draw((batch, positions, depth), (batch, keys, depth), (batch, keys, width))
    torch.testing.assert_close(fast(*tensors, 0.7), plain(*tensors, 0.7), rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_concatenation_equals_the_plain_one(sizes) -> None:
    batch, positions, keys, _, width = sizes
    tensors = _draw((batch, positions), (batch, keys), (batch, keys, width))
    torch.testing.assert_close(concatenation_sum(*tensors), plain_concatenation(*tensors), rtol=1e-9, atol=1e-12)


def test_gradients() -> None:
    products = _draw((2, 5, 3), (2, 4, 3), (2, 4, 2))
    assert torch.autograd.gradcheck(lambda *t: dot_product_sum(*t, 0.7), products)
    assert torch.autograd.gradcheck(lambda *t: softmax_sum(*t, 0.7), products)
    assert torch.autograd.gradcheck(concatenation_sum, _draw((2, 5), (2, 4), (2, 4, 2)))


@pytest.mark.parametrize("keys", [2, 3000])  # both orders of the product
def test_both_orders_of_the_dot_product(keys: int) -> None:
    theta, phi, g = _draw((1, 3000, 16), (1, keys, 16), (1, keys, 16), dtype=torch.float32)
    torch.testing.assert_close(dot_product_sum(theta, phi, g, 0.25), plain_dot_product(theta, phi, g, 0.25))


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_concatenation_is_safe_in_fp32(offset: float) -> None:
    """Many keys, and an offset in b that a cancels: only their sum counts."""
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(1, 2500, generator=generator) - offset
    b = torch.randn(1, 6272, generator=generator) + offset
    g = torch.randn(1, 6272, 16, generator=generator)
    exact = plain_concatenation(a.double(), b.double(), g.double())
    assert (concatenation_sum(a, b, g) - exact).abs().max() < 1e-5
    assert (concatenation_sum(a, b, g.requires_grad_()) - exact).abs().max() < 1e-5


def test_concatenation_where_all_or_nothing_is_open() -> None:
    g = torch.randn(1, 4, 2)
    b = torch.tensor([[0.0, 1.0, 1.0, -1.0]])
    a = torch.tensor([[-5.0, 5.0, -1.0, 1.0]])
    torch.testing.assert_close(concatenation_sum(a, b, g), plain_concatenation(a, b, g))


@pytest.mark.parametrize("size", [(1, 700, 300), (5, 40, 30), (3, 1, 50)])
def test_attention_in_half_precision_runs_in_blocks(
    size: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairwise, "BLOCK_PAIRS", 2000)
    batch, positions, keys = size
    theta, phi, g = (torch.randn(batch, count, 16).bfloat16() for count in (positions, keys, keys))
    with torch.no_grad():
        exact = plain_softmax(theta.double(), phi.double(), g.double(), 0.25)
        assert (softmax_sum(theta, phi, g, 0.25) - exact).abs().max() < 0.02 * exact.abs().max()


def test_concatenation_in_half_precision_sums_in_full_precision() -> None:
    a, b, g = torch.randn(1, 2000).bfloat16(), torch.randn(1, 3000).bfloat16(), torch.randn(1, 3000, 8).bfloat16()
    exact = plain_concatenation(a.double(), b.double(), g.double())
    result = concatenation_sum(a, b, g)
    assert result.dtype == torch.bfloat16
    assert (result - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize("name", ["dot_product", "concatenation", "softmax"])
def test_memory_is_linear_in_positions(name: str) -> None:
    """No intermediate tensor is larger than a few feature maps, however many positions there are."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(tensor, Tensor):
                    self.elements = max(self.elements, tensor.numel())
            return out

    positions = 8_000
    theta, phi, g = (torch.randn(1, positions, 8) for _ in range(3))
    with Largest() as largest, torch.no_grad():
        if name == "concatenation":
            concatenation_sum(theta[..., 0], phi[..., 0], g)
        else:
            {"dot_product": dot_product_sum, "softmax": softmax_sum}[name](theta, phi, g, 1.0)
    assert positions <= largest.elements <= 3 * positions * 8
