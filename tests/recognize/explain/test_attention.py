"""Rows of every form of a block: they sum to 1 or are signed, make the block's y, and end where the keys are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.architecture import NonLocal
from nlvid_cli.network.build import load_network
from nlvid_cli.network.nonlocal_block import NonLocalBlock
from nlvid_cli.recognize.explain.attention import QueryOptions, explain_blocks
from nlvid_cli.recognize.explain.places import ClipFrame, Point, ViewPlaces
from nlvid_cli.recognize.explain.values import ExplainedBlock
from tests.conftest import make_card
from tests.network.test_nonlocal_block import plain
from tests.small_networks import RESNET, random_weights

BLOCK = "res3.0"
PAIRWISE = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
DOMAINS = {"spacetime": (1, 2, 2), "space": (1, 2, 2), "time": (2, 1, 1)}

FORMS: dict[str, NonLocal] = {
    f"{pairwise}, {domain}, {name}": NonLocal((BLOCK,), pairwise, domain, pool, place)  # type: ignore[arg-type]
    for pairwise in PAIRWISE
    for domain, kernel in DOMAINS.items()
    for name, pool, place in (("before", kernel, "before"), ("after", kernel, "after"), ("no pool", None, "before"))
} | {
    f"{pairwise}, groups": NonLocal((BLOCK,), pairwise, group_frames=2, group_stages=("res3",))  # type: ignore[arg-type]
    for pairwise in PAIRWISE
}  # fmt: skip

CROP = 56
VIEW = ViewPlaces(tuple(ClipFrame(n, n / 25) for n in range(8)), CROP * 2, CROP * 2, CROP, CROP, 0, 0, CROP)


def _explained(config: NonLocal, options: QueryOptions) -> tuple[ExplainedBlock, NonLocalBlock, torch.Tensor]:
    """The block; its module; and its input."""
    card = make_card(architecture=replace(RESNET, width=4, nonlocal_blocks=config))
    tensors, seen = random_weights(card), []
    view = np.random.default_rng(0).standard_normal((1, 3, 8, CROP, CROP), dtype=np.float32)
    network = load_network(card, tensors)
    block = network.get_submodule(f"{BLOCK}.nonlocal_block")
    assert isinstance(block, NonLocalBlock)
    block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(torch.from_numpy(view))
    backend = TorchBackend(card, tensors, "cpu", "fp32")
    changes = backend.gradients(view, 1, [BLOCK]).blocks
    (explained,) = explain_blocks(backend, view, VIEW, card.architecture, changes, options)
    return explained, block, seen[0]


@pytest.mark.parametrize("name", FORMS)
def test_rows_make_what_the_block_adds(name: str) -> None:
    config = FORMS[name]
    explained, block, x = _explained(config, QueryOptions((), True, True, (2, 3, 2), 20))
    assert len(explained.queries) == 14
    rows = np.stack([query.weights.ravel() for query in explained.queries])
    if "gaussian" in config.pairwise:
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    with torch.no_grad():
        small = block.pool(x) if config.pool_place == "before" else x
        g = block.g(small) if config.pool_place == "before" else block.pool(block.g(x))
        y = torch.from_numpy(rows) @ g[0].flatten(1).T  # (Q, M) x (M, E)
        added = block.out.norm(block.out.conv(y.T[None, :, :, None, None]))[0, :, :, 0, 0].T
        whole = (plain(block, x) - x)[0].flatten(1).T  # of all positions
    asked = [_index(explained, place) for place in (query.place for query in explained.queries)]
    scale = float(whole.abs().max())
    torch.testing.assert_close(added / scale, whole[asked] / scale, rtol=0, atol=1e-5)
    np.testing.assert_allclose(explained.size.ravel(), whole.norm(dim=1), rtol=1e-3, atol=1e-4 * scale)


def _index(explained: ExplainedBlock, place: object) -> int:
    count = int(np.prod(explained.places.size))
    return next(n for n in range(count) if explained.places[explained.places.position(n)] == place)


@pytest.mark.parametrize("name", ["embedded_gaussian, space, before", "dot_product, groups", "gaussian, time, after"])
def test_arrows_stay_where_the_query_looks(name: str) -> None:
    explained, _, _ = _explained(FORMS[name], QueryOptions((Point(5 / 25, 40, 70),), False, False, None, 1000))
    (query,) = explained.queries
    assert query.chosen == "point"
    places = [arrow.place for arrow in query.arrows]
    frames = {place.frame for place in places}
    if "space" in name:
        assert frames == {query.place.frame}
    elif "groups" in name:
        assert len(frames) == 2
    else:
        assert {(place.x, place.y) for place in places} == {(query.place.x, query.place.y)}
    sizes = [abs(arrow.weight) for arrow in query.arrows]
    assert sizes == sorted(sizes, reverse=True)
    if "dot" in name:
        assert min(arrow.weight for arrow in query.arrows) < 0  # signed


def test_a_key_stands_for_the_positions_that_the_pool_joins() -> None:
    explained, _, _ = _explained(FORMS["embedded_gaussian, spacetime, before"], QueryOptions((), True, False, None, 5))
    assert explained.places.size == (4, 7, 7)
    assert explained.keys.size == (4, 3, 3)
    corner, key = explained.places[(1, 2, 4)], explained.keys[(1, 1, 2)]
    opposite = explained.places[(1, 3, 5)]
    assert (key.box.left, key.box.top) == (corner.box.left, corner.box.top)
    assert (key.box.right, key.box.bottom) == (opposite.box.right, opposite.box.bottom)
    assert key.frame == corner.frame
