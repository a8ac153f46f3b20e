"""What comes out: frozen values, and the one way from them to JSON.

``dataclasses.asdict`` of a :class:`Prediction` or a :class:`Failure` is the JSON that ``docs/json.md`` describes,
key for key, in every command.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlvid_cli.errors import NlvidError

SCHEMA = 1
"""Version of the JSON; it grows when a key changes its meaning or goes away, not when one is added."""


@dataclass(frozen=True)
class LabelScore:
    """A label, its place in the order of the scores (from 0), and its score in [0, 1]."""

    label: str
    index: int
    score: float


@dataclass(frozen=True)
class ClipPrediction:
    """The best labels of one clip (mean over its crops), and the stretch of the video that it covers.

    Times are in seconds from the first frame; ``end_seconds`` is when the last frame of the clip ends.
    """

    start_seconds: float
    end_seconds: float
    predictions: tuple[LabelScore, ...]


@dataclass(frozen=True)
class Views:
    """How the video was looked at: ``clips`` x ``crops`` views of ``frames`` frames, every ``step``-th one.

    ``frame_rate`` is what ``step`` counts in, in frames per second; None means the video's own frames.
    """

    clips: int
    crops: int
    frames: int
    step: int
    frame_rate: float | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer for one video.

    Attributes:
        video: the path as the user gave it.
        model: full name of the model that answered.
        backend: ``torch`` or ``onnx``.
        device: for example ``cpu`` or ``cuda:0``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, as computed.
        duration_seconds: from the first frame to the end of the last one.
        frame_rate: mean frames per second.
        variable_frame_rate: whether the distances between frames differ.
        width: pixels, as displayed (after rotation).
        height: pixels, as displayed.
        rotation_degrees: clockwise turn that was applied to show the frames upright: 0, 90, 180 or 270.
        views: the views that were scored.
        label_kind: ``single``: the scores are of classes that exclude each other; ``multi``: any number of them may
            be true.
        predictions: best labels of the whole video, best first.
        unsure: whether even the best label stayed below the minimum score.
        clips: the same per clip, in order of time.
        warnings: what was odd about the file, in sentences.
        schema: version of this structure.
    """

    video: str
    model: str
    backend: str
    device: str
    precision: str
    duration_seconds: float
    frame_rate: float
    variable_frame_rate: bool
    width: int
    height: int
    rotation_degrees: int
    views: Views
    label_kind: Literal["single", "multi"]
    predictions: tuple[LabelScore, ...]
    unsure: bool
    clips: tuple[ClipPrediction, ...]
    warnings: tuple[str, ...] = ()
    schema: int = field(default=SCHEMA, kw_only=True)


@dataclass(frozen=True)
class FailureReason:
    """Class name of the error (see ``nlvid_cli.errors``), or ``InternalError``; and its sentence."""

    type: str
    message: str


@dataclass(frozen=True)
class Failure:
    """A video that could not be classified, and why."""

    video: str
    error: FailureReason
    schema: int = field(default=SCHEMA, kw_only=True)

    @classmethod
    def of(cls, video: str, error: Exception) -> Failure:
        """Build the failure of ``video`` from what was raised for it."""
        if isinstance(error, NlvidError):
            return cls(video, FailureReason(type(error).__name__, str(error)))
        text = f"{type(error).__name__}: {error} (a fault of nlvid, please report it; NLVID_DEBUG=1 shows where)"
        return cls(video, FailureReason("InternalError", text))


Result = Prediction | Failure
