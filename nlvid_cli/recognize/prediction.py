"""Results as frozen values, and their JSON (``docs/json.md``), which is the same in every command."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nlvid_cli import errors
from nlvid_cli.errors import MemoryExceeded, NlvidError, ResourceShortage
from nlvid_cli.system.shortage import shortage

if TYPE_CHECKING:
    from nlvid_cli.video.info import VideoFacts
    from nlvid_cli.video.segment import Stretch

SCHEMA = 1
"""Version of the JSON. It grows when a key changes its meaning or is removed, not when one is added."""


@dataclass(frozen=True)
class LabelScore:
    """A label, its index in the order of the scores (from 0), and its score in [0, 1]."""

    label: str
    index: int
    score: float


@dataclass(frozen=True)
class ClipPrediction:
    """Best labels of one clip (mean over its crops), and the time that it covers.

    Times are in seconds from the first frame; ``end_seconds`` is the end of the clip's last frame.
    """

    start_seconds: float
    end_seconds: float
    predictions: tuple[LabelScore, ...]


@dataclass(frozen=True)
class Views:
    """Views of a video: ``clips`` x ``crops`` views of ``frames`` frames, every ``step``-th one.

    ``step`` counts frames at ``frame_rate`` frames per second; None means the video's own frames.
    """

    clips: int
    crops: int
    frames: int
    step: int
    frame_rate: float | None = None


@dataclass(frozen=True)
class Prediction:
    """Labels of one video.

    Attributes:
        video: Path as the user gave it.
        model: Full name of the model.
        backend: ``torch`` or ``onnx``.
        device: For example ``cpu`` or ``cuda:0``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, as computed.
        facts: Duration, rate and size of the video, rounded as in the JSON.
        views: Views that were scored.
        label_kind: ``single``: the classes exclude each other; ``multi``: any number of labels may be true.
        predictions: Best labels of the whole video, best first.
        unsure: Whether even the best label scored less than the minimum.
        clips: Best labels of each clip, in order of time.
        warnings: Oddities of the file, in sentences.
        stretch: Part of the video that was asked for; None: all of it.
        fps: Frames per second that a folder of frames was given; None: a file.
        schema: Version of this structure.
    """

    video: str
    model: str
    backend: str
    device: str
    precision: str
    facts: VideoFacts
    views: Views
    label_kind: Literal["single", "multi"]
    predictions: tuple[LabelScore, ...]
    unsure: bool
    clips: tuple[ClipPrediction, ...]
    warnings: tuple[str, ...] = ()
    stretch: Stretch | None = None
    fps: float | None = None
    schema: int = field(default=SCHEMA, kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the answer as plain values, key for key as ``docs/json.md`` describes it."""
        record: dict[str, Any] = {"schema": self.schema, "video": self.video} | _part_record(self)
        for name, value in asdict(self).items():
            if name not in ("stretch", "fps"):
                record.update(value if name == "facts" else {name: value})
        return record


@dataclass(frozen=True)
class FailureReason:
    """Class name of the error (see ``nlvid_cli.errors``), or ``InternalError``, and its message."""

    type: str
    message: str


@dataclass(frozen=True)
class Failure:
    """A video that could not be classified, and why.

    Attributes:
        video: Path as the user gave it.
        error: Kind of the error, and its message.
        stretch: Part of the video that was asked for; None: all of it.
        fps: Frames per second that a folder of frames was given; None: a file.
        schema: Version of this structure.
        cause: The error itself if it was raised in this process; neither compared nor pickled.
    """

    video: str
    error: FailureReason
    stretch: Stretch | None = None
    fps: float | None = None
    schema: int = field(default=SCHEMA, kw_only=True)
    cause: Exception | None = field(default=None, kw_only=True, compare=False, repr=False)

    @classmethod
    def of(cls, video: str, error: Exception, stretch: Stretch | None = None, fps: float | None = None) -> Failure:
        """Build the failure of ``video`` from the error that was raised for it."""
        if (lack := shortage(error)) is not None:
            error = MemoryExceeded(lack) if isinstance(error, MemoryError) else ResourceShortage(lack)
        if isinstance(error, NlvidError):
            return cls(video, FailureReason(type(error).__name__, str(error)), stretch, fps, cause=error)
        text = f"{type(error).__name__}: {error} (a bug in nlvid, please report it; NLVID_DEBUG=1 shows the traceback)"
        return cls(video, FailureReason("InternalError", text), stretch, fps, cause=error)

    @property
    def exception(self) -> Exception:
        """The error to raise: the original one, or one of the same class if it was raised in another process."""
        if self.cause is not None:
            return self.cause
        kind = getattr(errors, self.error.type, None)
        if isinstance(kind, type) and issubclass(kind, NlvidError):
            return kind(self.error.message)
        return RuntimeError(self.error.message)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the failure as plain values, key for key as ``docs/json.md`` describes it."""
        record: dict[str, Any] = {"schema": self.schema, "video": self.video}
        return record | _part_record(self) | {"error": asdict(self.error)}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"cause": None}  # an error of another library may not survive pickling


def _part_record(result: Prediction | Failure) -> dict[str, Any]:
    """Return the keys of a stretch and of a folder of frames; results of whole files have neither."""
    stretch = {} if result.stretch is None else {"stretch": result.stretch.to_dict()}
    return stretch if result.fps is None else stretch | {"fps": result.fps}


Result = Prediction | Failure
