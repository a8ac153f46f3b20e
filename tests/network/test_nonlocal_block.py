"""The block against a plain one, which follows the paper's formulas position by position."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from nlvid_cli.card.architecture import Head, InceptionArchitecture, NonLocal
from nlvid_cli.errors import InputShapeError
from nlvid_cli.network.inception3d import InceptionI3d
from nlvid_cli.network.nonlocal_block import NonLocalBlock, insert_nonlocal

PAIRWISE = ["gaussian", "embedded_gaussian", "dot_product", "concatenation"]
DOMAINS = ["spacetime", "space", "time"]
POOLS = [(None, "before"), ((1, 2, 2), "before"), ((1, 2, 2), "after")]
SIZES = {1: (6,), 2: (4, 6), 3: (4, 4, 6)}


def make_block(channels: int, config: NonLocal, dimensions: int = 3, group_frames: int | None = None) -> NonLocalBlock:
    """Make a block whose last normalisation is not zero, so that it has an effect."""
    torch.manual_seed(0)
    block = NonLocalBlock(channels, config, dimensions, group_frames).double().eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


def plain(block: NonLocalBlock, x: Tensor) -> Tensor:
    """z = W y + x with y_i = sum_j f_ij g_j / C, from the full matrix of pairs, masked to the domain."""
    config = block.config
    kernel = None if isinstance(block.pool, nn.Identity) else block.pool.kernel_size
    max_pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[block.dimensions]

    def pool(t: Tensor) -> Tensor:
        return t if kernel is None else max_pool(t, kernel)

    gaussian = config.pairwise == "gaussian"
    theta = x if gaussian else block.theta(x)
    if config.pool_place == "before":
        phi, g = (pool(x) if gaussian else block.phi(pool(x))), block.g(pool(x))
    else:
        phi, g = pool(x if gaussian else block.phi(x)), pool(block.g(x))
    mask = _domain_mask(block, x.shape[2:], phi.shape[2:])
    queries, keys, values = (t.flatten(2).transpose(1, 2) for t in (theta, phi, g))
    if config.pairwise == "concatenation":
        f = torch.relu((queries @ block.weight_theta)[:, :, None] + (keys @ block.weight_phi)[:, None])
    else:
        f = queries @ keys.transpose(1, 2) * (queries.shape[2] ** -0.5 if config.scaled else 1.0)
    if "gaussian" in config.pairwise:
        f = f.masked_fill(~mask, -torch.inf).softmax(dim=2)
    else:
        f = f * mask / mask.sum(dim=1, keepdim=True)
    y = (f @ values).transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
    return x + block.out(y)


def _domain_mask(block: NonLocalBlock, size: tuple[int, ...], key_size: tuple[int, ...]) -> Tensor:
    """(P, M): which keys a position sees."""
    positions, keys = _coordinates(size)[:, None], _coordinates(key_size)[None]  # (P, 1, axes), (1, M, axes)
    if block.dimensions != 3:
        return torch.ones(positions.shape[0], keys.shape[1], dtype=torch.bool)
    if block.config.domain == "space":
        return positions[..., 0] == keys[..., 0]
    if block.config.domain == "time":
        return (positions[..., 1:] == keys[..., 1:]).all(dim=-1)
    group = block.group_frames or size[0]
    return positions[..., 0] // group == keys[..., 0] // group


def _coordinates(size: tuple[int, ...]) -> Tensor:
    return torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"), dim=-1).reshape(-1, len(size))


def _pool_for(domain: str, pool: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    return (2, 1, 1) if pool and domain == "time" else pool


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize(("pool", "place"), POOLS)
@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("pairwise", PAIRWISE)
def test_equals_the_plain_block_forward_and_backward(pairwise, domain, pool, place, dimensions) -> None:
    config = NonLocal(
        (), pairwise=pairwise, domain=domain, pool=_pool_for(domain, pool), pool_place=place, scaled=True, norm="affine"
    )
    block = make_block(6, config, dimensions)
    x = torch.randn(2, 6, *SIZES[dimensions], dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(x)
    fast, slow = block(x), plain(block, x)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-11)
    variables = [x, *block.parameters()]
    for got, wanted in zip(
        torch.autograd.grad((fast * direction).sum(), variables),
        torch.autograd.grad((slow * direction).sum(), variables),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("pairwise", PAIRWISE)
def test_gradcheck(pairwise: str, domain: str) -> None:
    config = NonLocal((), pairwise=pairwise, domain=domain, pool=None, norm="none")  # type: ignore[arg-type]
    block = make_block(2, config)
    x = torch.randn(1, 2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


@settings(max_examples=60, deadline=None)
@given(
    pairwise=st.sampled_from(PAIRWISE),
    domain=st.sampled_from(DOMAINS),
    pool=st.sampled_from([None, (1, 2, 2), (1, 3, 1), (1, 2, 3)]),
    place=st.sampled_from(["before", "after"]),
    scaled=st.booleans(),
    bias=st.booleans(),
    channels=st.integers(1, 7),
    size=st.tuples(st.integers(1, 5), st.integers(3, 6), st.integers(3, 6)),
    batch=st.integers(1, 3),
)
def test_any_shape(pairwise, domain, pool, place, scaled, bias, channels, size, batch) -> None:
    pool = None if domain == "time" else pool
    config = NonLocal((), pairwise, domain, pool, place, scaled, "none", bias, bias)
    block = make_block(channels, config)
    x = torch.randn(batch, channels, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(block(x), plain(block, x), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("pairwise", PAIRWISE)
@pytest.mark.parametrize("channels_last", [False, True])
def test_realistic_size_in_fp32(pairwise: str, channels_last: bool) -> None:
    config = NonLocal((), pairwise=pairwise)  # type: ignore[arg-type]
    torch.manual_seed(0)
    block = NonLocalBlock(512, config).eval()
    nn.init.normal_(block.out.norm.weight)
    x = F.relu(torch.randn(1, 512, 4, 14, 14))
    exact = plain(block.double(), x.double())
    block.float()
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        assert (block(x) - exact).abs().max() < 1e-5 * exact.abs().max()


def test_groups_of_frames() -> None:
    config = NonLocal((), norm="none")
    block = make_block(6, config, group_frames=2)
    x = torch.randn(2, 6, 4, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(block(x), plain(block, x), rtol=1e-9, atol=1e-11)
        alone = make_block(6, config)
        torch.testing.assert_close(block(x)[:, :, :2], alone(x[:, :, :2]), rtol=1e-9, atol=1e-11)
    with pytest.raises(InputShapeError, match=r"5 frames .*groups of 2"):
        block(torch.zeros(1, 6, 5, 4, 4, dtype=torch.float64))


def _inception() -> InceptionI3d:
    torch.manual_seed(0)
    return InceptionI3d(InceptionArchitecture("inception", Head("softmax_of_mean", (1, 2, 2)), 1e-3), 5).eval()


@pytest.mark.parametrize("norm", ["batch", "affine", "none"])
@pytest.mark.parametrize("pairwise", PAIRWISE)
def test_fresh_blocks_change_nothing(pairwise: str, norm: str) -> None:
    network = _inception()
    x = torch.randn(1, 3, 8, 64, 64)
    with torch.no_grad():
        before = network(x)
        config = NonLocal((), pairwise=pairwise, norm=norm)  # type: ignore[arg-type]
        insert_nonlocal(network, ["mixed_3c", "mixed_4d"], config)
        assert torch.equal(network(x), before)
    names = [name for name, module in network.named_modules() if isinstance(module, NonLocalBlock)]
    assert names == ["mixed_3c.nonlocal_block", "mixed_4d.nonlocal_block"]


def test_a_fresh_block_learns() -> None:
    """The last scale is zero, but gradients reach it: one step moves the scale, the next everything else."""
    network = _inception()
    insert_nonlocal(network, ["mixed_4d"], NonLocal(()))
    block = network.get_submodule("mixed_4d.nonlocal_block")
    x = torch.randn(1, 3, 16, 64, 64)
    network(x).square().sum().backward()
    moving = {name for name, parameter in block.named_parameters() if parameter.grad.abs().max() > 0}
    assert moving == {"out.norm.weight", "out.norm.bias"}
    nn.init.constant_(block.get_submodule("out.norm").weight, 0.1)
    network.zero_grad()
    network(x).square().sum().backward()
    moving = {name for name, parameter in block.named_parameters() if parameter.grad.abs().max() > 0}
    # A bias of phi adds the same to a query's products with all keys, which softmax does not notice (rounding may).
    assert moving >= {name for name, _ in block.named_parameters()} - {"phi.bias"}


def test_insertion_into_a_foreign_network() -> None:
    torch.manual_seed(0)
    network = nn.Sequential()
    network.add_module("first", nn.Conv3d(3, 8, 3))
    network.add_module("second", nn.Conv3d(8, 4, 3))
    x = torch.randn(1, 3, 6, 8, 8)
    before = network(x)
    insert_nonlocal(network, {"first": 8}, NonLocal(()))
    assert isinstance(network.get_submodule("first.nonlocal_block"), NonLocalBlock)
    network.eval()
    assert torch.equal(network(x), before)
    with pytest.raises(InputShapeError, match="no layer 'third'"):
        insert_nonlocal(network, ["third"], NonLocal(()))
    with pytest.raises(InputShapeError, match="channels of layer 'first'"):
        insert_nonlocal(network, ["first"], NonLocal(()))


def test_inputs_of_a_wrong_shape() -> None:
    block = NonLocalBlock(8, NonLocal(()))
    with pytest.raises(InputShapeError, match=r"\(N, 8\) and 3 more axes, got \(1, 4, 2, 2, 2\)"):
        block(torch.zeros(1, 4, 2, 2, 2))
    with pytest.raises(InputShapeError, match=r"got \(1, 8, 2, 2\)"):
        block(torch.zeros(1, 8, 2, 2))


def test_pools_that_leave_the_domain_are_refused() -> None:
    with pytest.raises(ValueError, match="domain of time"):
        NonLocalBlock(8, NonLocal((), domain="time"))
    with pytest.raises(ValueError, match="within frames"):
        NonLocalBlock(8, NonLocal((), domain="space", pool=(2, 2, 2)))


def test_one_channel_and_chosen_inner_channels() -> None:
    assert NonLocalBlock(1, NonLocal(())).g.weight.shape[0] == 1
    assert NonLocalBlock(8, replace(NonLocal(()), inner_channels=3)).g.weight.shape[0] == 3


@pytest.mark.parametrize("norm", ["batch", "affine", "none"])
def test_a_block_that_ignores_its_weights_is_told(norm: str) -> None:
    block = NonLocalBlock(4, NonLocal((), norm=norm))  # type: ignore[arg-type]
    assert block.ignores_weights  # a fresh one
    last = block.out.conv if norm == "none" else block.out.norm
    nn.init.constant_(last.weight, 0.1)
    assert not block.ignores_weights
    nn.init.zeros_(block.g.weight)
    assert block.ignores_weights


def test_a_block_that_ignores_its_weights_is_told_after_folding() -> None:
    from nlvid_cli.network.inference import fold_norms

    block = NonLocalBlock(4, NonLocal(())).eval()
    fold_norms(block)
    assert block.ignores_weights
    block = make_block(4, NonLocal(()))
    fold_norms(block)
    assert not block.ignores_weights
