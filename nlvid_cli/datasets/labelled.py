"""Labelled videos: what every form of data set is read into."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nlvid_cli.errors import UsageError, did_you_mean
from nlvid_cli.video.frame_names import FRAME_RATE
from nlvid_cli.video.segment import Segment, Stretch

log = logging.getLogger(__name__)

SHOWN = 5
"""Names that a message lists before "and N more"."""

Kind = Literal["single", "multi"]
"""Whether each video has exactly one label, or any number of them."""


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """A video, or a part of one, and its labels.

    Attributes:
        path: Path to the file, absolute or relative to the working directory.
        labels: Indices into :attr:`DataSet.classes`; exactly one if the data set is "single".
        where: Place in the data set, for messages: "train.csv, line 12", or the folder of the class.
        split: "train", "val" or "test", if the data set says so.
        stretch: Part of the video that the labels describe (Kinetics CSV); None for all of it.
        label_times: (start, end) in seconds of each label, in the order of ``labels`` (Charades); empty if unknown.
        fps: Frames per second, if the path is that of a folder of frames.
    """

    path: Path
    labels: tuple[int, ...]
    where: str
    split: str | None = None
    stretch: Stretch | None = None
    label_times: tuple[tuple[float, float], ...] = ()
    fps: float = FRAME_RATE

    @property
    def segment(self) -> Segment:
        """The video, or the part of it, for what decodes it; a folder that a table names is one of frames."""
        return Segment(self.path, self.stretch, self.fps if self.path.is_dir() else None)


@dataclass(frozen=True)
class DataSet:
    """Labelled videos, and their classes.

    Attributes:
        videos: Videos in the order of the file, or of their sorted names.
        classes: Names of the classes, by index.
        kind: "single" if each video has exactly one label, else "multi".
        source: Form of the data set in words, such as "folder per class" or "Kinetics CSV".
        notes: What can be read in two ways, and which way was taken.
        passed_over: Number of files and rows that are not used.
    """

    videos: tuple[LabelledVideo, ...]
    classes: tuple[str, ...]
    kind: Kind
    source: str
    notes: tuple[str, ...] = ()
    passed_over: int = 0


def part_of(data: DataSet, split: str | None) -> DataSet:
    """Return the videos of one split; without a name, return all, and warn if they are of several.

    Raises:
        UnknownName: The data set has no such split.
    """
    counts = Counter(video.split for video in data.videos if video.split is not None)
    parts = ", ".join(f"{name} ({count})" for name, count in counts.items())
    if split is None:
        if len(counts) > 1:
            log.warning("all parts of the data set are used: %s; choose one with --split", parts)
        return data
    if split not in counts:
        raise did_you_mean("part of the data set", split, counts, f"it has {parts or 'none'}")
    return replace(data, videos=tuple(video for video in data.videos if video.split == split))


def with_frame_rate(data: DataSet, fps: float | None) -> DataSet:
    """Return the data set with another rate of its folders of frames; None leaves it as it is.

    Raises:
        UsageError: It names no folder of frames.
    """
    if fps is None:
        return data
    if not any(video.path.is_dir() for video in data.videos):
        raise UsageError("--fps is the rate of folders of frames, and the data set names none")
    return replace(data, videos=tuple(replace(video, fps=fps) for video in data.videos))
