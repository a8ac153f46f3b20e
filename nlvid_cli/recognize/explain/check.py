"""Whether a picture can be trusted: what happens to the score when its places are taken away, or put back.

The view is cut into cells of time and space. For deletion, cells are blurred in the order of a method, the most
important ones first; for insertion, they return to a blurred view ("RISE", Petsiuk, Das and Saenko, arXiv 1806.07421,
section 4.2). The same is done in random order, from the centre outwards, and in order of plain motion, because a
method that is no better than these explains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.backends import Backend
from nlvid_cli.card.geometry import MapAxes, MapAxis
from nlvid_cli.recognize.explain.values import Curves

Array = NDArray[np.float32]
Cells = NDArray[np.float64]
"""(time, rows, columns), a value for each cell."""

TIMES, SIDE = 8, 14
"""Cells along time, and along each side: 8 frames of 16 x 16 pixels, in a view of 64 frames of 224 x 224."""

STEPS = 8
"""Steps of a curve; of its 9 points the two ends are the same for all curves, so each takes 7 forward passes."""


class Check:
    """Measures how the score of a label follows the order of cells.

    Args:
        backend: The model.
        view: (1, 3, T, H, W), normalised.
        label: Index of the label.
    """

    def __init__(self, backend: Backend, view: Array, label: int) -> None:
        self._backend, self._view, self._label = backend, view[0], label
        self._blurred = blur(view[0])
        counts = (TIMES, SIDE, SIDE)
        self.edges = [
            np.unique(np.linspace(0, length, count + 1).astype(int))
            for length, count in zip(view.shape[2:], counts, strict=True)
        ]
        self._ends = self._scores([view[0], self._blurred])

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of cells along time, height and width."""
        time, height, width = (len(edges) - 1 for edges in self.edges)
        return time, height, width

    def plain_orders(self) -> Mapping[str, Cells]:
        """Return the orders that need no explanation: random, centre first, and motion."""
        order = np.random.default_rng(0).permutation(np.prod(self.size)).astype(float)
        return {"random": order.reshape(self.size), "centre": self._central(), "motion": self._motion()}

    def at_cells(self, values: Array, axes: MapAxes) -> Cells:
        """Interpolate a map, (T, H, W), at the centres of the cells, from its positions in the view."""
        result: Cells = values.astype(np.float64)
        for number, (edges, axis) in enumerate(zip(self.edges, axes, strict=True)):
            result = np.moveaxis(np.tensordot(_interpolation(edges, axis), result, axes=(1, number)), 0, number)
        return result

    def curves(self, importance: Cells) -> Curves:
        """Delete and insert the cells, the most important ones first."""
        order = np.argsort(-importance.ravel(), kind="stable")
        rank = np.empty(order.size, np.int64)
        rank[order] = np.arange(order.size)
        first = [rank < order.size * step / STEPS for step in range(1, STEPS)]
        deletion = self._curve(first, self._view, self._blurred, self._ends)
        insertion = self._curve(first, self._blurred, self._view, self._ends[::-1])
        return Curves(_mean(deletion), _mean(insertion), deletion, insertion)

    def _curve(
        self, first: list[NDArray[np.bool_]], old: Array, new: Array, ends: tuple[float, ...]
    ) -> tuple[float, ...]:
        scores: list[float] = []
        at_once = max(1, self._backend.views_per_batch)  # more of them only take more memory
        for start in range(0, len(first), at_once):
            scores += self._scores([self._mixed(cells, old, new) for cells in first[start : start + at_once]])
        return ends[0], *scores, ends[1]

    def _mixed(self, cells: NDArray[np.bool_], old: Array, new: Array) -> Array:
        """(3, T, H, W): ``new`` in the cells that are true."""
        mask = cells.reshape(self.size)
        for number, edges in enumerate(self.edges):
            mask = mask.repeat(np.diff(edges), axis=number)
        return np.where(mask, new, old)

    def _scores(self, views: list[Array]) -> tuple[float, ...]:
        return tuple(self._backend.outputs(np.stack(views)).scores[:, self._label].tolist())

    def _central(self) -> Cells:
        _, height, width = self.size
        rows, columns = ((np.arange(length) - (length - 1) / 2) / length for length in (height, width))
        nearness = -np.hypot(rows[:, None], columns[None, :])
        return np.broadcast_to(nearness, self.size).copy()

    def _motion(self) -> Cells:
        """Mean difference of each cell's pixels to the frame before."""
        steps = np.zeros(self._view.shape[1:])
        steps[1:] = np.abs(np.diff(self._view, axis=1)).mean(axis=0)
        for number, edges in enumerate(self.edges):
            shape = [-1 if axis == number else 1 for axis in range(3)]
            steps = np.add.reduceat(steps, edges[:-1], axis=number) / np.diff(edges).reshape(shape)
        return steps


def blur(view: Array) -> Array:
    """Blur a view, (3, T, H, W), in each frame: three box filters, nearly a Gaussian of a fourteenth of its side."""
    for axis in (2, 3):
        radius = max(1, view.shape[axis] // SIDE)
        for _ in range(3):
            view = _box_filter(view, axis, radius)
    return view


def _box_filter(view: Array, axis: int, radius: int) -> Array:
    """Mean over 2 * radius + 1 pixels along an axis; the pixels at the edges go on beyond them."""
    pads = [(radius + 1, radius) if number == axis else (0, 0) for number in range(view.ndim)]
    sums = np.pad(view, pads, mode="edge").cumsum(axis=axis, dtype=np.float64)
    width = 2 * radius + 1
    upper = np.take(sums, np.arange(width, sums.shape[axis]), axis=axis)
    lower = np.take(sums, np.arange(sums.shape[axis] - width), axis=axis)
    means: Array = ((upper - lower) / width).astype(np.float32)
    return means


def _interpolation(edges: NDArray[np.int64], axis: MapAxis) -> Cells:
    """(cells, positions): weights of the two positions around the centre of each cell."""
    centres = (edges[:-1] + edges[1:] - 1) / 2
    at = np.clip((centres - axis.first) / axis.step, 0, axis.length - 1)
    lower = np.minimum(at.astype(int), max(axis.length - 2, 0))
    upper = np.minimum(lower + 1, axis.length - 1)
    weights = np.zeros((len(centres), axis.length))
    np.add.at(weights, (np.arange(len(centres)), lower), 1 - (at - lower))
    np.add.at(weights, (np.arange(len(centres)), upper), at - lower)
    return weights


def _mean(scores: tuple[float, ...]) -> float:
    """Area under a curve of equal steps, as a share of the whole."""
    return float(np.trapezoid(scores) / (len(scores) - 1))
