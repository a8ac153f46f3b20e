"""Where the positions of a feature map lie in the input: arithmetic on kernels, strides and padding.

Positions count from 0, and the centre of input sample n is at n. A layer with kernel k, stride s and p zeros before the
input looks, at its position i, at the input positions i s - p to i s - p + k - 1, whose centre is i s - p + (k - 1)/2::

    kernel 3, stride 2, "SAME" padding of 6 samples (one zero, at the end)
    input        0   1   2   3   4   5   .
    position 0   [---+---]
    position 1           [---+---]
    position 2                   [---+---]
    centres          1       3       5          = 1 + 2 i
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Size3 = tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """A layer that looks at a box of positions: a convolution or a pool.

    Attributes:
        kernel: Extent (T, H, W) of the box, with its dilation.
        stride: Distance (T, H, W) of two boxes.
        padding: Positions that are added before and after each axis; None: "SAME" as in TensorFlow, which adds as many
            as are needed for ceil(length / stride) boxes, and an odd one at the end.
    """

    kernel: Size3
    stride: Size3
    padding: Size3 | None = (0, 0, 0)


@dataclass(frozen=True)
class MapAxis:
    """Positions of a feature map along one axis.

    Attributes:
        length: Number of positions.
        first: Centre of the first position, in samples of the input.
        step: Distance of two centres.
    """

    length: int
    first: float
    step: int

    def centre(self, position: int) -> float:
        """Return the centre of a position, in samples of the input."""
        return self.first + self.step * position

    def nearest(self, sample: float) -> int:
        """Return the position whose centre is nearest to a place in the input."""
        return min(max(round((sample - self.first) / self.step), 0), self.length - 1)

    def after(self, kernel: int, stride: int, padding: int | None) -> MapAxis:
        """Return the positions after one more layer; ``padding`` as in :class:`Window`."""
        if padding is None:
            length = -(-self.length // stride)
            before = max((length - 1) * stride + kernel - self.length, 0) // 2
        else:
            length = (self.length + 2 * padding - kernel) // stride + 1
            before = padding
        return MapAxis(length, self.first + self.step * ((kernel - 1) / 2 - before), self.step * stride)


MapAxes = tuple[MapAxis, MapAxis, MapAxis]
"""Positions of a feature map along time, height and width."""


def map_axes(size: Size3, windows: Iterable[Window]) -> MapAxes:
    """Return where the positions of a feature map lie in the input.

    Args:
        size: (T, H, W) of the input.
        windows: Layers from the input to the map; those that move no centre may be left out.
    """
    time, height, width = (MapAxis(length, 0.0, 1) for length in size)
    for window in windows:
        t, h, w = window.padding or (None, None, None)
        time = time.after(window.kernel[0], window.stride[0], t)
        height = height.after(window.kernel[1], window.stride[1], h)
        width = width.after(window.kernel[2], window.stride[2], w)
    return time, height, width
