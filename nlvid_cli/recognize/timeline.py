"""What happens when in a video, as frozen values, and their JSON (``docs/json.md``).

A long video is looked at in windows, which are clips as the model sees them, one every so many seconds. Their scores
become segments by :mod:`nlvid_cli.recognize.segments`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.recognize.prediction import ClipPrediction, Failure, Prediction


@dataclass(frozen=True)
class ActionSegment:
    """A part of a video that shows one action.

    Attributes:
        start_seconds: Start, from the first frame of the video.
        end_seconds: End, at most that of the video.
        label: Name of the action.
        index: Index of the label in the order of the scores.
        score: Mean score of the label over the segment, in [0, 1].
    """

    start_seconds: float
    end_seconds: float
    label: str
    index: int
    score: float


@dataclass(frozen=True)
class SegmentRule:
    """How windows become segments.

    Attributes:
        every_seconds: Distance between the starts of two windows.
        smooth_seconds: Width of the average over the windows' scores.
        begin: Score at which a segment begins, in [0, 1].
        keep: Score down to which it goes on; at most ``begin``.
        shortest_seconds: Length below which a segment is dropped.
    """

    every_seconds: float
    smooth_seconds: float
    begin: float
    keep: float
    shortest_seconds: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """The actions of one video in time.

    Attributes:
        prediction: Labels of the whole video, of all its windows combined as the card combines clips. Its ``clips`` are
            the windows.
        segments: Segments, by start; of one start, the lower index first. They overlap only if labels may.
        rule: How windows became segments.
        labels: (classes,) names of all labels.
        scores: (windows, classes) scores of each window, in [0, 1], calibrated where the card has a temperature.
        start_seconds: (windows,) start of each window, from the first frame of the video.
        end_seconds: (windows,) end of the last frame of each window.
    """

    prediction: Prediction
    segments: tuple[ActionSegment, ...]
    rule: SegmentRule
    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    start_seconds: NDArray[np.float64]
    end_seconds: NDArray[np.float64]

    @property
    def windows(self) -> tuple[ClipPrediction, ...]:
        """Best labels of each window, in order of time."""
        return self.prediction.clips

    @property
    def video(self) -> str:
        """Path as the user gave it."""
        return self.prediction.video

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON as plain values: that of the prediction, with windows for clips, and the segments."""
        record = self.prediction.to_dict()
        windows = record.pop("clips")
        segments = [asdict(segment) for segment in self.segments]
        return record | {"rule": asdict(self.rule), "segments": segments, "windows": windows}


TimelineResult = Timeline | Failure
