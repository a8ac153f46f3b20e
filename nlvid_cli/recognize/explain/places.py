"""Places in a feature map as places in the video: through the network, the crop, the resizing and the turning.

A point of the video is given in pixels as shown, upright, from the left and the top edge of the picture: the first
pixel reaches from 0 to 1. Times are seconds from the first frame of the file::

    video as shown          resized                  view of the network        map
    x from 0 to width   ->  x * new / width      ->  minus the crop's left  ->  nearest centre
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.card.geometry import MapAxes, MapAxis
from nlvid_cli.errors import UsageError

Position = tuple[int, int, int]
"""Index (time, row, column) in a map."""


@dataclass(frozen=True)
class ClipFrame:
    """A frame of the clip: its number in the file, from 0, and the time at which it is shown."""

    number: int
    seconds: float


@dataclass(frozen=True)
class Point:
    """A place that a person asks for: seconds from the first frame of the file, pixels of the video as shown."""

    seconds: float
    x: float
    y: float


@dataclass(frozen=True)
class Box:
    """A part of the picture, in pixels of the video as shown, from its left and top edge."""

    left: float
    top: float
    right: float
    bottom: float

    def __contains__(self, point: Point) -> bool:
        return self.left <= point.x <= self.right and self.top <= point.y <= self.bottom


@dataclass(frozen=True)
class Place:
    """A position of a map, in the video.

    Attributes:
        x: Centre, in pixels of the video as shown.
        y: Centre, from the top.
        box: The part of the picture that the position stands for. What it sees reaches further.
        frame: Index of its frame in the clip.
        first_frame: Index of the first frame that it stands for.
        last_frame: Index of the last one.
        seconds: Time at which its frame is shown.
    """

    x: float
    y: float
    box: Box
    frame: int
    first_frame: int
    last_frame: int
    seconds: float


@dataclass(frozen=True)
class ViewPlaces:
    """Where one view of a network lies in its video.

    Attributes:
        frames: Frames of the clip, in the order in which the network sees them.
        width: Pixels of the video as shown.
        height: Pixels of the video as shown.
        resized_width: Pixels of the frame from which the view is cut.
        resized_height: The same down.
        left: Pixels of that frame before the view.
        top: The same down.
        crop: Pixels of a side of the view.
    """

    frames: tuple[ClipFrame, ...]
    width: int
    height: int
    resized_width: int
    resized_height: int
    left: int
    top: int
    crop: int

    @property
    def size(self) -> tuple[int, int, int]:
        """(T, H, W) of the view."""
        return len(self.frames), self.crop, self.crop

    @property
    def box(self) -> Box:
        """What the network sees of the picture."""
        return Box(self.x(0), self.y(0), self.x(self.crop), self.y(self.crop))

    def x(self, pixels: float) -> float:
        """Return a distance from the left edge of the view as one in the video."""
        return (self.left + pixels) * self.width / self.resized_width

    def y(self, pixels: float) -> float:
        """Return a distance from the top of the view as one in the video."""
        return (self.top + pixels) * self.height / self.resized_height

    def nearest(self, point: Point, axes: MapAxes) -> Position:
        """Return the position of a map that is nearest to a point.

        Raises:
            UsageError: The clip, or the part of the picture that the network sees, does not have the point.
        """
        if point not in self.box:
            box = self.box
            raise UsageError(
                f"the point {point.x:g},{point.y:g} is not in the part of the picture that the network sees: x from "
                f"{box.left:.0f} to {box.right:.0f}, y from {box.top:.0f} to {box.bottom:.0f}"
            )
        time, rows, columns = axes
        x = point.x * self.resized_width / self.width - self.left - 0.5  # the centre of pixel 0 is at 0.5
        y = point.y * self.resized_height / self.height - self.top - 0.5
        return time.nearest(self._frame_at(point.seconds)), rows.nearest(y), columns.nearest(x)

    def _frame_at(self, seconds: float) -> int:
        """Index of the frame that is nearest in time; the first, where a short video is repeated."""
        times = [frame.seconds for frame in self.frames]
        slack = max((later - earlier for earlier, later in pairwise(sorted(times))), default=0.0)
        if not min(times) - slack <= seconds <= max(times) + slack:
            raise UsageError(
                f"the clip that is explained has frames from {min(times):.2f} to {max(times):.2f} s, and none at "
                f"{seconds:g} s; choose another clip with --at {seconds:g}"
            )
        return min(range(len(times)), key=lambda index: abs(times[index] - seconds))


@dataclass(frozen=True)
class MapPlaces:
    """Where the positions of a map lie in the video.

    Attributes:
        view: The view that the network sees.
        axes: Positions of the map in the view.
    """

    view: ViewPlaces
    axes: MapAxes

    @property
    def size(self) -> tuple[int, int, int]:
        """(T, H, W) of the map."""
        time, rows, columns = self.axes
        return time.length, rows.length, columns.length

    def __getitem__(self, position: Position) -> Place:
        """Return the place of a position."""
        time, rows, columns = (axis.centre(index) for axis, index in zip(self.axes, position, strict=True))
        (top, y, bottom), (left, x, right) = (
            _span(centre, axis, self.view.crop) for centre, axis in ((rows, self.axes[1]), (columns, self.axes[2]))
        )
        view, last, step = self.view, len(self.view.frames) - 1, self.axes[0].step
        frame = min(max(ceil(time - 0.5), 0), last)  # the earlier one of two equally near ones
        return Place(
            view.x(x),
            view.y(y),
            Box(view.x(left), view.y(top), view.x(right), view.y(bottom)),
            frame,
            min(max(ceil(time - step / 2), 0), frame),
            max(min(ceil(time + step / 2) - 1, last), frame),
            view.frames[frame].seconds,
        )

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the places of all positions, axis by axis, as a file of arrays keeps them.

        Returns:
            ``seconds``, ``first_frame`` and ``last_frame``, each (T,); ``top`` and ``bottom``, (H,); ``left`` and
            ``right``, (W,), in pixels of the video as shown.
        """
        time, height, width = self.size
        times = [self[index, 0, 0] for index in range(time)]
        rows = [self[0, index, 0].box for index in range(height)]
        columns = [self[0, 0, index].box for index in range(width)]
        return {
            "seconds": np.array([place.seconds for place in times]),
            "first_frame": np.array([place.first_frame for place in times], float),
            "last_frame": np.array([place.last_frame for place in times], float),
            "top": np.array([box.top for box in rows]),
            "bottom": np.array([box.bottom for box in rows]),
            "left": np.array([box.left for box in columns]),
            "right": np.array([box.right for box in columns]),
        }

    def position(self, index: int) -> Position:
        """Return the position of a flat index."""
        _, height, width = self.size
        return index // (height * width), index // width % height, index % width

    def index(self, position: Position) -> int:
        """Return the flat index of a position."""
        _, height, width = self.size
        return (position[0] * height + position[1]) * width + position[2]


def _span(centre: float, axis: MapAxis, crop: int) -> tuple[float, float, float]:
    """Start, centre and end of a position along a side of the view, in pixels from its edge."""
    middle = centre + 0.5  # the centre of pixel 0 is half a pixel from the edge
    start, end = middle - axis.step / 2, middle + axis.step / 2
    return min(max(start, 0.0), float(crop)), min(max(middle, 0.0), float(crop)), min(max(end, 0.0), float(crop))
