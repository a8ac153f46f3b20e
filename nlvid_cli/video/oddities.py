"""What is odd about the decoded pictures of a video, in sentences for the user."""

from __future__ import annotations

from av.video.frame import VideoFrame

from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.picture import CONVERTED_MATRICES

SAME_SHAPE = 0.02
"""Difference of aspect ratios that comes of rounding sizes to whole pixels, or to whole blocks."""


class Oddities:
    """Notes pictures, in any order and from any thread."""

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._shapes: set[tuple[int, int]] = set()
        self._matrices: set[int] = set()

    def note(self, frame: VideoFrame) -> None:
        """Note a picture before it is converted."""
        self._shapes.add((frame.width, frame.height))
        self._matrices.add(int(frame.colorspace))

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about what cannot be shown as it is meant: other shapes, unknown colours."""
        return self._shape_warning() + self._colour_warning()

    def _shape_warning(self) -> tuple[str, ...]:
        """Warn of several shapes, since all frames are scaled to the first one's."""
        width, height = self._info.facts.width, self._info.facts.height
        shapes = {self._info.orientation.displayed(*shape) for shape in self._shapes}
        others = sorted(shape for shape in shapes if abs(shape[0] * height / (shape[1] * width) - 1) > SAME_SHAPE)
        if not others:
            return ()
        sizes = ", ".join(f"{wide} x {high}" for wide, high in others)
        return (f"the shape of its frames changes ({sizes}): all are stretched to {width} x {height}, the first one's",)

    def _colour_warning(self) -> tuple[str, ...]:
        unknown = sorted(self._matrices - CONVERTED_MATRICES)
        if not unknown:
            return ()
        return (f"its colours are approximate: FFmpeg does not convert colour matrix {unknown[0]} of ITU-T H.273",)


def damage_warnings(damaged: int, stand_ins: int, wanted: int) -> tuple[str, ...]:
    """Return warnings about damage.

    Args:
        damaged: Number of pictures with damage.
        stand_ins: Number of wanted frames that others replaced.
        wanted: Number of wanted frames.
    """
    warnings = []
    if damaged:
        warnings.append("the video is damaged: some frames do not decode, or only with errors")
    if stand_ins:
        warnings.append(
            f"{stand_ins} of the {wanted} wanted frames cannot be decoded; the nearest that can replaces each"
        )
    return tuple(warnings)
