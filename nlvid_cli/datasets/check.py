"""Look at each video of a data set before hours of training do, and at the data set as a whole.

Of each file the packets are read and three frames are decoded: first, middle and last. This finds what is cut off,
empty or no video, and how long each is, in a fraction of the time of decoding it all; other damage goes unnoticed.
(AVI and raw streams are decoded whole, because nothing else tells how many frames they have.)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.split import Split
from nlvid_cli.datasets.suspicions import ClassCount, suspect_counts, suspect_groups
from nlvid_cli.errors import VideoError
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.trim import trim

CHECKED_SHORT_SIDE = 64
"""Pixels to which the three frames are scaled: they are looked at by nobody."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with one video.

    Attributes:
        where: it is written: "train.csv, line 12", or the folder of its class.
        path: of the file.
        message: what is wrong, a sentence.
    """

    where: str
    path: str
    message: str


@dataclass(frozen=True)
class Duplicate:
    """Files with the same content.

    Attributes:
        paths: of the files, and where each is written, two at least.
        across_split: whether they are both in training and in validation.
        different_labels: whether they are labelled differently.
    """

    paths: tuple[tuple[str, str], ...]
    across_split: bool
    different_labels: bool


@dataclass(frozen=True)
class DataReport:
    """What was found.

    Attributes:
        source: how the data set is written down.
        kind: "single" or "multi" labels.
        split: name of the split; None: it is not split.
        videos: entries of the data set.
        seconds: of all videos that can be read.
        frames: of the shortest video that can be read, the median, and the longest.
        classes: how many videos each has.
        unreadable: videos that cannot be used at all.
        too_short: videos with fewer frames than asked for.
        odd: videos that can be used, but are damaged or strange in some way.
        duplicates: files with the same content.
        suspicions: about the data set as a whole, in sentences.
    """

    source: str
    kind: str
    split: str | None
    videos: int
    seconds: float
    frames: tuple[int, int, int]
    classes: tuple[ClassCount, ...]
    unreadable: tuple[Finding, ...]
    too_short: tuple[Finding, ...]
    odd: tuple[Finding, ...]
    duplicates: tuple[Duplicate, ...]
    suspicions: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing at all was found."""
        return not (self.unreadable or self.too_short or self.odd or self.duplicates or self.suspicions)


@dataclass(frozen=True)
class _Checked:
    """One entry, after its file was looked at; `frames` is 0 if it cannot be used."""

    video: LabelledVideo
    in_val: bool
    frames: int = 0
    seconds: float = 0.0
    error: str | None = None
    warnings: tuple[str, ...] = ()


def check_data(
    data: DataSet | Split,
    min_frames: int = 2,
    jobs: int | None = None,
    group_pattern: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataReport:
    """Look at all videos, side by side, and at what they make together.

    Args:
        data: a data set, or one that is split: then also whether its sides have something in common.
        min_frames: fewer make a video too short.
        jobs: videos that are looked at side by side; None: as many as there are processors.
        group_pattern: regular expression of groups, as in :func:`nlvid_cli.datasets.split.split_by_group`; None: groups
            are guessed from the names.
        progress: called after each video with how many are done, and of how many.
    """
    entries = _entries(data)
    checked = []
    with ThreadPoolExecutor(jobs, thread_name_prefix="check") as pool:
        try:
            for one in pool.map(_check, entries):
                checked.append(one)
                if progress is not None:
                    progress(len(checked), len(entries))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    whole = data.train if isinstance(data, Split) else data
    counts = _count_classes(whole.classes, checked)
    usable = [one for one in checked if one.error is None]
    return DataReport(
        source=whole.source,
        kind=whole.kind,
        split=data.name if isinstance(data, Split) else None,
        videos=len(checked),
        seconds=sum(one.seconds for one in usable),
        frames=_quantiles([one.frames for one in usable]),
        classes=counts,
        unreadable=tuple(_finding(one, one.error) for one in checked if one.error is not None),
        too_short=tuple(
            _finding(one, f"{one.frames} frames, fewer than {min_frames}") for one in usable if one.frames < min_frames
        ),
        odd=tuple(_finding(one, warning) for one in usable for warning in one.warnings),
        duplicates=tuple(_find_duplicates(checked)),
        suspicions=(
            *suspect_counts(counts, isinstance(data, Split)),
            *(suspect_groups(entries, group_pattern) if isinstance(data, Split) else ()),
        ),
    )


def _entries(data: DataSet | Split) -> list[tuple[LabelledVideo, bool]]:
    if isinstance(data, Split):
        return [(video, False) for video in data.train.videos] + [(video, True) for video in data.val.videos]
    return [(video, False) for video in data.videos]


def _check(entry: tuple[LabelledVideo, bool]) -> _Checked:
    """Read the packets, and decode three frames."""
    video, in_val = entry
    try:
        info = probe(video.path)
        part, first = trim(info, video.start_seconds, video.end_seconds)
        frames = len(part.times_seconds)
        numbers = np.array([[first, first + frames // 2, first + frames - 1]], np.int64)
        read = read_frames(info, numbers, CHECKED_SHORT_SIDE, threads=1)
    except VideoError as error:
        return _Checked(video, in_val, error=str(error))
    warnings = (*info.warnings, *read.warnings, *_late_labels(video, part.facts.duration_seconds))
    return _Checked(video, in_val, frames, part.facts.duration_seconds, None, warnings)


def _late_labels(video: LabelledVideo, duration_seconds: float) -> Iterator[str]:
    """Charades: times that no frame of the file has."""
    late = [start for start, _ in video.label_times if start >= duration_seconds]
    if late:
        yield f"an action begins at {late[0]:g} s, after the end of the file ({duration_seconds:.2f} s)"
    if any(end < start for start, end in video.label_times):
        yield "an action ends before it begins"


def _finding(one: _Checked, message: str | None) -> Finding:
    return Finding(one.video.where, str(one.video.path), message or "")


def _quantiles(frames: list[int]) -> tuple[int, int, int]:
    if not frames:
        return 0, 0, 0
    return min(frames), int(np.median(frames)), max(frames)


def _count_classes(classes: Sequence[str], checked: Iterable[_Checked]) -> tuple[ClassCount, ...]:
    counts = Counter((label, one.in_val) for one in checked for label in set(one.video.labels))
    return tuple(ClassCount(name, counts[label, False], counts[label, True]) for label, name in enumerate(classes))


def _find_duplicates(checked: Sequence[_Checked]) -> Iterator[Duplicate]:
    """Different files of the same size, and then of the same content."""
    by_path: dict[Path, list[_Checked]] = {}
    for one in checked:
        by_path.setdefault(one.video.path, []).append(one)
    sizes: dict[int, list[Path]] = {}
    for path in by_path:
        if path.is_file() and path.stat().st_size:
            sizes.setdefault(path.stat().st_size, []).append(path)
    contents: dict[bytes, list[Path]] = {}
    for paths in sizes.values():
        if len(paths) > 1:
            for path in paths:
                with path.open("rb") as file:
                    contents.setdefault(hashlib.file_digest(file, "sha256").digest(), []).append(path)
    for paths in contents.values():
        if len(paths) > 1:
            yield _duplicate([one for path in paths for one in by_path[path]])


def _duplicate(same: Sequence[_Checked]) -> Duplicate:
    return Duplicate(
        tuple((str(one.video.path), one.video.where) for one in same),
        len({one.in_val for one in same}) > 1,
        len({frozenset(one.video.labels) for one in same}) > 1,
    )
