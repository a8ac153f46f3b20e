"""Which part of which video: what names a clip before anything is opened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from nlvid_cli.errors import UsageError
from nlvid_cli.video.remote import RemotePath, VideoPath, video_path


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a video, by times or by frames. What is None is open: the start or the end of the video.

    Attributes:
        start_seconds: Start, from the first frame of the video.
        end_seconds: End, which the part does not include.
        start_frame: The same as the number of a frame, from 0.
        end_frame: Number of the first frame after the part.

    Raises:
        UsageError: The part is empty, starts before the video, or is given both by times and by frames.
    """

    start_seconds: float | None = None
    end_seconds: float | None = None
    start_frame: int | None = None
    end_frame: int | None = None

    def __post_init__(self) -> None:
        ranges = [(self.start_seconds, self.end_seconds, "s"), (self.start_frame, self.end_frame, "frames")]
        given = [(start, end, unit) for start, end, unit in ranges if start is not None or end is not None]
        if len(given) > 1:
            raise UsageError("a stretch is given by times or by frames, not by both")
        for start, end, unit in given:
            if not (start is None or 0 <= start < float("inf")):
                raise UsageError(f"a stretch starts at 0 or later, not at {start:g} {unit}")
            if not (end is None or (start or 0) < end < float("inf")):
                raise UsageError(f"a stretch must end after its start ({start or 0:g} to {end:g} {unit})")

    def __str__(self) -> str:
        """Return it for people: ``2 to 4.5 s``, ``frames 10 to 55``, ``from 2 s``."""
        by_frames = self.start_frame is not None or self.end_frame is not None
        start, end = (self.start_frame, self.end_frame) if by_frames else (self.start_seconds, self.end_seconds)
        text = f"{start or 0:g} to {end:g}" if end is not None else f"{start or 0:g} to the end"
        return f"frames {text}" if by_frames else f"{text} s" if end is not None else f"{start or 0:g} s to the end"

    def to_dict(self) -> dict[str, float]:
        """Return what is given, as plain values for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> Stretch | None:
        """Rebuild it from :meth:`to_dict`; None stands for a whole video.

        Raises:
            TypeError: A name is unknown.
            UsageError: The values contradict each other.
        """
        return cls(**values) if values else None


@dataclass(frozen=True, slots=True)
class Segment:
    """A video, or a part of it.

    Attributes:
        path: Path of the file, local or remote; or of a folder of frames.
        stretch: Part of it; None: all of it.
        fps: Frames per second of a folder of frames, which says that the path is one; None: a file.

    Raises:
        UsageError: The rate is not a positive number.
    """

    path: VideoPath | Path
    stretch: Stretch | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and not (isfinite(self.fps) and self.fps > 0):
            raise UsageError(f"a rate of frames is a positive number, not {self.fps:g} frames per second")

    def __str__(self) -> str:
        """Return the path, and the part if there is one."""
        return f"{self.path}" if self.stretch is None else f"{self.path} ({self.stretch})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        stretch = None if self.stretch is None else self.stretch.to_dict()
        return {"path": str(self.path), "stretch": stretch, "fps": self.fps}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Segment:
        """Rebuild it from :meth:`to_dict`, with the path as text or as an address."""
        return cls(video_path(values["path"]), Stretch.from_dict(values["stretch"]), values["fps"])

    @property
    def file(self) -> Path | RemotePath:
        """Path of the file, for what opens it."""
        return self.path if isinstance(self.path, RemotePath) else Path(self.path)
