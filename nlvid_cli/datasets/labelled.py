"""What every format of data sets is read into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
