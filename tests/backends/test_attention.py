"""Attention of non-local blocks, compared with the plain block, which has the whole matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nlvid_cli.backends import Want
from nlvid_cli.backends.attention import attention_rows
from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.architecture import NonLocal
from nlvid_cli.card.card import Card
from nlvid_cli.errors import UnknownName, UsageError
from nlvid_cli.network.build import load_network
from nlvid_cli.network.nonlocal_block import NonLocalBlock
from tests.conftest import make_card
from tests.network.test_nonlocal_block import plain
from tests.small_networks import RESNET, random_weights

BLOCK = "res3.0"

BLOCKS = {
    f"{pairwise}, {domain}": NonLocal((BLOCK,), pairwise=pairwise, domain=domain, pool=pool)  # type: ignore[arg-type]
    for pairwise in ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
    for domain, pool in (("spacetime", (1, 2, 2)), ("space", (1, 2, 2)), ("time", (2, 1, 1)))
} | {
    "groups of frames": NonLocal((BLOCK,), group_frames=2, group_stages=("res3",)),
    "pool after, no scale": NonLocal((BLOCK,), pool_place="after", scaled=False),
    "no pool": NonLocal((BLOCK,), "dot_product", pool=None),
}


def _model(blocks: NonLocal) -> tuple[Card, dict[str, np.ndarray], NonLocalBlock]:
    card = make_card(architecture=replace(RESNET, width=4, nonlocal_blocks=blocks))
    tensors = random_weights(card)
    block = load_network(card, tensors).get_submodule(f"{BLOCK}.nonlocal_block")
    assert isinstance(block, NonLocalBlock)
    return card, tensors, block


def _input_of_block(card: Card, tensors: dict[str, np.ndarray], clips: np.ndarray) -> torch.Tensor:
    network, seen = load_network(card, tensors), []
    network.get_submodule(f"{BLOCK}.nonlocal_block").register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        network(torch.from_numpy(clips))
    return seen[0]


@pytest.mark.parametrize("name", BLOCKS)
def test_rows_times_g_are_what_the_plain_block_adds(name: str) -> None:
    card, tensors, block = _model(BLOCKS[name])
    clips = np.random.default_rng(0).standard_normal((2, 3, 8, 40, 56), dtype=np.float32)
    outputs = TorchBackend(card, tensors, "cpu", "fp32").outputs(clips, Want(attention={BLOCK: None}))
    assert outputs.features is None
    assert outputs.attention is not None
    found = outputs.attention[BLOCK]
    x = _input_of_block(card, tensors, clips)
    assert found.query_grid == tuple(x.shape[2:]) == (4, 5, 7)
    assert found.weights.dtype == np.float32
    if "gaussian" in block.config.pairwise:
        np.testing.assert_allclose(found.weights.sum(axis=2), 1, atol=1e-5)
    with torch.no_grad():
        small = block.pool(x) if block.config.pool_place == "before" else x
        g = block.g(small) if block.config.pool_place == "before" else block.pool(block.g(x))
        assert found.key_grid == tuple(g.shape[2:])
        y = torch.from_numpy(found.weights) @ g.flatten(2).transpose(1, 2)  # (N, P, M) x (N, M, E)
        added = block.out(y.transpose(1, 2).reshape(2, -1, *x.shape[2:]))
        wanted = plain(block, x) - x
    torch.testing.assert_close(added, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["embedded_gaussian, spacetime", "concatenation, time", "groups of frames"])
def test_only_the_rows_that_were_asked_for(name: str) -> None:
    card, tensors, _ = _model(BLOCKS[name])
    clips = np.random.default_rng(0).standard_normal((1, 3, 8, 40, 56), dtype=np.float32)
    backend = TorchBackend(card, tensors, "cpu", "fp32")
    rows = backend.outputs(clips, Want(attention={BLOCK: [139, 0, 77, 0]})).attention
    every = backend.outputs(clips, Want(attention={BLOCK: None})).attention
    assert rows is not None
    assert every is not None
    np.testing.assert_allclose(rows[BLOCK].weights, every[BLOCK].weights[:, [139, 0, 77, 0]], atol=1e-6)


def test_no_query_is_no_row() -> None:
    card, tensors, _ = _model(BLOCKS["no pool"])
    clips = np.zeros((1, 3, 8, 40, 56), np.float32)
    attention = TorchBackend(card, tensors, "cpu", "fp32").outputs(clips, Want(attention={BLOCK: []})).attention
    assert attention is not None
    assert attention[BLOCK].weights.shape == (1, 0, 140)


def _attention_of_nothing(positions: list[int]) -> Any:
    zeros = np.zeros((1, 4, 2, 3, 3), np.float32)
    return attention_rows(zeros, zeros, make_card(architecture=replace(RESNET, nonlocal_blocks=BLOCKS["no pool"])),
                          BLOCK, positions)  # fmt: skip


@pytest.mark.parametrize("position", [18, -1])
def test_a_position_outside_the_map(position: int) -> None:
    assert _attention_of_nothing([17]).weights.shape == (1, 1, 18)
    with pytest.raises(UsageError, match="positions"):
        _attention_of_nothing([position])


def test_a_block_that_does_not_exist(card: Card, random_tensors: dict[str, np.ndarray]) -> None:
    clips = np.zeros((1, 3, 8, 64, 64), np.float32)
    with pytest.raises(UsageError, match="no non-local blocks"):
        TorchBackend(card, random_tensors, "cpu", "fp32").outputs(clips, Want(attention={"mixed_4c": None}))
    other, tensors, _ = _model(BLOCKS["no pool"])
    with pytest.raises(UnknownName, match=r"did you mean 'res3\.0'"):
        TorchBackend(other, tensors, "cpu", "fp32").outputs(clips, Want(attention={"res3.1": None}))
