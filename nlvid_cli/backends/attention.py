"""Rows of the attention matrix of a non-local block, in numpy, from the block's queries and keys.

Both backends use this: one gets queries and keys from torch, the other from outputs of the ONNX graph. Only the rows
that were asked for are computed, so memory is views x queries x keys, and not the square of the positions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.backends import Array, Attention, Grid
from nlvid_cli.card.architecture import NonLocal
from nlvid_cli.card.card import Card
from nlvid_cli.errors import UsageError, did_you_mean
from nlvid_cli.system.arrays import softmax


def require_blocks(card: Card, names: Collection[str]) -> None:
    """Check that a model has non-local blocks of these names.

    Raises:
        UsageError: The model has no non-local blocks at all.
        UnknownName: It has none of that name.
    """
    blocks = card.architecture.nonlocal_blocks
    if names and (blocks is None or not blocks.after):
        raise UsageError(f"{card.name} has no non-local blocks, so there is no attention to show")
    for name in names:
        assert blocks is not None
        if name not in blocks.after:
            raise did_you_mean("non-local block", name, blocks.after, f"{card.name} has {', '.join(blocks.after)}")


def attention_rows(
    queries: NDArray[Any], keys: NDArray[Any], card: Card, block: str, positions: Sequence[int] | None
) -> Attention:
    """Compute the weights with which query positions look at all key positions.

    Args:
        queries: (views, D, T, H, W), as :meth:`NonLocalBlock.queries_and_keys` returns them.
        keys: (views, D, T', H', W'), the same for keys.
        card: Of the model.
        block: Name of the block.
        positions: Flat indices into T * H * W; None: all.

    Raises:
        UsageError: A position is outside the map.
    """
    config = card.architecture.nonlocal_blocks
    assert config is not None
    query_grid, key_grid = _grid(queries), _grid(keys)
    asked = np.arange(prod(query_grid)) if positions is None else np.array(positions, np.int64)
    if asked.size and not 0 <= asked.min() <= asked.max() < prod(query_grid):
        size = " x ".join(map(str, query_grid))
        raise UsageError(f"{block}: query positions must be from 0 to {prod(query_grid) - 1} ({size}, T x H x W)")
    # (views, D, T, H, W) -> (views, positions, D)
    theta, phi = (x.astype(np.float32).reshape(*x.shape[:2], -1).swapaxes(1, 2) for x in (queries, keys))
    weights = np.zeros((len(theta), len(asked), prod(key_grid)), np.float32)
    together = config.frames_together(block)
    for mine, seen in zip(_groups(query_grid, config, together), _groups(key_grid, config, together), strict=True):
        rows = np.flatnonzero(np.isin(asked, mine))
        if rows.size:
            weights[:, rows[:, None], seen] = _weights(theta[:, asked[rows]], phi[:, seen], config)
    return Attention(weights, query_grid, key_grid)


def _grid(x: NDArray[Any]) -> Grid:
    time, height, width = x.shape[2:]
    return time, height, width


def _groups(grid: Grid, config: NonLocal, frames_together: int | None) -> NDArray[np.int64]:
    """(groups, positions): flat indices of the positions of a map that see each other; one group is one row."""
    indices = np.arange(prod(grid))
    if config.domain == "time":
        return indices.reshape(grid[0], -1).T  # (T, H*W) -> (H*W, T)
    return indices.reshape(grid[0] // frames_together if frames_together else 1, -1)


def _weights(theta: Array, phi: Array, config: NonLocal) -> Array:
    """Weights f / C: (views, Q, D), (views, M, D) -> (views, Q, M)."""
    keys = phi.shape[1]
    if config.pairwise == "concatenation":  # D is 1: both are the terms of the sum already
        sums: Array = np.maximum(theta + phi.swapaxes(1, 2), np.float32(0)) / np.float32(keys)
        return sums
    scale = np.float32(theta.shape[2] ** -0.5 if config.scaled else 1)
    products: Array = np.matmul(theta * scale, phi.swapaxes(1, 2))
    if config.pairwise == "dot_product":
        products /= np.float32(keys)
        return products
    return softmax(products)
