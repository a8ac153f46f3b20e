"""The non-local blocks of an explanation: which queries, and where their arrows go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlvid_cli.backends import Array, Attention, Backend, BlockChange, Want
from nlvid_cli.card.architecture import Architecture
from nlvid_cli.card.geometry import Window, map_axes
from nlvid_cli.recognize.explain.places import MapPlaces, Point, ViewPlaces
from nlvid_cli.recognize.explain.values import Arrow, Choice, ExplainedBlock, Query


@dataclass(frozen=True)
class QueryOptions:
    """Which positions to ask, and how many arrows to draw.

    Attributes:
        points: Points of the video.
        auto: Whether to ask, in each block, the position whose change raises the label's logit the most.
        change: Whether to ask the position that the block changes the most.
        grid: Number of positions to ask along time, height and width, evenly spread; None: none.
        arrows: Number of arrows of each query.
    """

    points: tuple[Point, ...]
    auto: bool
    change: bool
    grid: tuple[int, int, int] | None
    arrows: int


def explain_blocks(
    backend: Backend,
    view: Array,
    places: ViewPlaces,
    architecture: Architecture,
    changes: Mapping[str, BlockChange],
    options: QueryOptions,
) -> tuple[ExplainedBlock, ...]:
    """Ask non-local blocks what they attend to. Only the rows of the queries are computed.

    Args:
        backend: The model.
        view: (1, 3, T, H, W), normalised.
        places: Where the view lies in the video.
        architecture: The card's.
        changes: By name of each block to ask, what it does in this view.
        options: What to ask.

    Raises:
        UsageError: A point is not in the view.
    """
    maps = {name: _map(places, architecture, name) for name in changes}
    asked = {
        name: [] if change.ignores_weights else list(_queries(maps[name], change, options))
        for name, change in changes.items()
    }
    rows = {name: [maps[name].index(position) for _, _, position in queries] for name, queries in asked.items()}
    attention = backend.outputs(view, Want(attention=rows)).attention if rows else None
    return tuple(
        _block(name, architecture, maps[name], change, asked[name], (attention or {})[name], options.arrows)
        for name, change in changes.items()
    )


Asked = tuple[Choice, Point | None, tuple[int, int, int]]


def _map(places: ViewPlaces, architecture: Architecture, block: str, *more: Window) -> MapPlaces:
    return MapPlaces(places, map_axes(places.size, (*architecture.windows_to(block), *more)))


def _queries(places: MapPlaces, change: BlockChange, options: QueryOptions) -> Iterator[Asked]:
    for point in options.points:
        yield "point", point, places.view.nearest(point, places.axes)
    if options.auto:
        yield "auto", None, places.position(int(change.effect.argmax()))
    if options.change:
        yield "change", None, places.position(int(change.size.argmax()))
    if options.grid is not None:
        spread = [_spread(length, count) for length, count in zip(places.size, options.grid, strict=True)]
        for time in spread[0]:
            for row in spread[1]:
                for column in spread[2]:
                    yield "grid", None, (time, row, column)


def _spread(length: int, count: int) -> list[int]:
    """Indices of ``count`` positions, or of all, in the middles of equal parts."""
    count = min(length, count)
    return [int((part + 0.5) * length / count) for part in range(count)]


def _block(
    name: str,
    architecture: Architecture,
    places: MapPlaces,
    change: BlockChange,
    asked: Sequence[Asked],
    attention: Attention,
    arrows: int,
) -> ExplainedBlock:
    config = architecture.nonlocal_blocks
    assert config is not None
    pool = config.pool or (1, 1, 1)
    keys = _map(places.view, architecture, name, Window(pool, pool))  # each key stands for what the pool puts together
    assert attention.query_grid == places.size, (attention.query_grid, places.size)
    assert attention.key_grid == keys.size, (attention.key_grid, keys.size)
    queries = tuple(
        Query(chosen, point, places[position], _arrows(row, keys, arrows), row.reshape(keys.size))
        for (chosen, point, position), row in zip(asked, attention.weights[0], strict=True)
    )
    return ExplainedBlock(
        name, config.pairwise, config.domain, places, keys, change.size, change.effect, change.ignores_weights, queries
    )


def _arrows(weights: Array, keys: MapPlaces, count: int) -> tuple[Arrow, ...]:
    """(keys,) -> the largest by size, largest first; keys that a query does not see have the weight 0."""
    largest = np.argsort(-np.abs(weights), kind="stable")[:count]
    return tuple(Arrow(keys[keys.position(int(key))], float(weights[key])) for key in largest if weights[key] != 0)
