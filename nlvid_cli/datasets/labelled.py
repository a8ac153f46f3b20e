"""What every format of data sets is read into."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nlvid_cli.errors import did_you_mean

log = logging.getLogger(__name__)

Kind = Literal["single", "multi"]
"""Whether each video has exactly one label, or any number of them."""


@dataclass(frozen=True)
class LabelledVideo:
    """A video, or a stretch of one, and what can be seen in it.

    Attributes:
        path: as it can be opened: absolute, or relative to the working directory.
        labels: indices into :attr:`DataSet.classes`; exactly one where the kind of the data set is "single".
        where: it is written, for messages: "train.csv, line 12", or the folder of its class.
        split: "train", "val" or "test" where the data set says so.
        start_seconds: only the stretch from here belongs to the labels (Kinetics CSV); None is the start of the file.
        end_seconds: end of that stretch; None is the end of the file.
        label_times: (start, end) in seconds of each label, aligned with `labels` (Charades); empty if not told.
    """

    path: Path
    labels: tuple[int, ...]
    where: str
    split: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    label_times: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class DataSet:
    """Labelled videos, and the classes that their labels count.

    Attributes:
        videos: in the order of the file, or of the sorted names.
        classes: names, by index.
        kind: "single" if each video has exactly one label, else "multi".
        source: what was recognised, in words: "folder per class", "Kinetics CSV".
    """

    videos: tuple[LabelledVideo, ...]
    classes: tuple[str, ...]
    kind: Kind
    source: str


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
