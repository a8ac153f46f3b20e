"""Check each video of a data set, and the data set as a whole, before hours of training.

Of each file the packets are read, and the first, the middle and the last frame are decoded. In a fraction of the time
of a full decode this finds files that are truncated, empty or not videos; other damage goes unnoticed. AVI and raw
streams are decoded completely, because nothing else tells how many frames they have.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.split import Split
from nlvid_cli.datasets.suspicions import ClassCount, suspect_counts, suspect_groups
from nlvid_cli.errors import VideoError
from nlvid_cli.video.frame_names import NO_TIMES
from nlvid_cli.video.reader import ReaderHere, ReaderPool, VideoReader
from nlvid_cli.video.trim import trim

T = TypeVar("T")

CHECKED_SHORT_SIDE = 64
"""Short side of the three frames, in pixels; nobody sees them."""


WAITING = 1000
"""Entries that wait for a check; more than there are processors."""


@dataclass(frozen=True)
class Finding:
    """A problem with one video.

    Attributes:
        where: Place in the data set: "train.csv, line 12", or the folder of the class.
        path: Path to the file.
        message: What is wrong.
    """

    where: str
    path: str
    message: str


@dataclass(frozen=True)
class Duplicate:
    """Files with the same content.

    Attributes:
        paths: Two or more paths, each with its place in the data set.
        across_split: Whether the files are in both training and validation.
        different_labels: Whether their labels differ.
    """

    paths: tuple[tuple[str, str], ...]
    across_split: bool
    different_labels: bool


@dataclass(frozen=True)
class DataReport:
    """Result of :func:`check_data`.

    Attributes:
        source: Form of the data set, in words.
        kind: "single" or "multi" labels.
        split: Name of the split; None if the data set is not split.
        videos: Number of entries.
        seconds: Total duration of the readable videos.
        frames: Number of frames of the shortest readable video, the median one and the longest one.
        classes: Number of videos of each class.
        unreadable: Videos that cannot be used.
        too_short: Videos with fewer frames than required.
        odd: Videos that can be used, but are damaged or unusual.
        duplicates: Files with the same content.
        suspicions: Warnings about the data set as a whole, in sentences.
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
        """Whether no problem was found."""
        return not (self.unreadable or self.too_short or self.odd or self.duplicates or self.suspicions)


@dataclass(frozen=True, slots=True)
class _Checked:
    """An entry whose file was checked; ``frames`` is 0 if the file cannot be used."""

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
    readers: ReaderPool | None = None,
) -> DataReport:
    """Check all videos of a data set.

    Args:
        data: Data set, or a split of one, which is also checked for groups on both sides.
        min_frames: Number of frames below which a video is too short.
        jobs: Number of videos checked side by side; None for one per processor.
        group_pattern: Regular expression of groups, see :func:`nlvid_cli.datasets.split.split_by_group`; None to guess
            groups from the names.
        progress: Called after each video with the number of videos done and of all videos.
        readers: What reads the videos; None: threads of this process, which a decoder can take with it.
    """
    entries = _entries(data)
    checked = []
    with ThreadPoolExecutor(jobs, thread_name_prefix="check") as pool:
        try:
            for one in _checks(readers or _Threads(pool), entries):
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


@dataclass(frozen=True)
class _Threads:
    """Readers without processes."""

    pool: ThreadPoolExecutor

    def submit(self, work: Callable[[VideoReader], T]) -> Future[T]:
        return self.pool.submit(work, ReaderHere())


def _checks(readers: ReaderPool, entries: Iterable[tuple[LabelledVideo, bool]]) -> Iterator[_Checked]:
    """Check entries in order. Few wait at a time: each takes a kilobyte, and there may be millions."""
    waiting: deque[Future[_Checked]] = deque()
    for entry in entries:
        waiting.append(readers.submit(partial(_check, entry)))
        if len(waiting) > WAITING:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _check(entry: tuple[LabelledVideo, bool], reader: VideoReader) -> _Checked:
    """Read the packets, and decode three frames."""
    video, in_val = entry
    try:
        info = reader.probe(video.path)
        part, first = trim(info, video.stretch)
        frames = len(part.times_seconds)
        numbers = np.array([first, first + frames // 2, first + frames - 1], np.int64)
        read = reader.read(info, numbers, CHECKED_SHORT_SIDE)
    except VideoError as error:
        return _Checked(video, in_val, error=str(error))
    warnings = (
        *(warning for warning in info.warnings if warning != NO_TIMES),
        *read.warnings,
        *_late_labels(video, part.facts.duration_seconds),
    )
    return _Checked(video, in_val, frames, part.facts.duration_seconds, None, warnings)


def _late_labels(video: LabelledVideo, duration_seconds: float) -> Iterator[str]:
    """Report times of actions that are not in the file (Charades)."""
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
    """Find different files with the same content, among those of the same size."""
    sizes: dict[int, list[Path]] = {}
    for path in dict.fromkeys(one.video.path for one in checked):
        if path.is_file() and path.stat().st_size:
            sizes.setdefault(path.stat().st_size, []).append(path)
    contents: dict[bytes, list[Path]] = {}
    for paths in sizes.values():
        if len(paths) > 1:
            for path in paths:
                with path.open("rb") as file:
                    contents.setdefault(hashlib.file_digest(file, "sha256").digest(), []).append(path)
    same = [paths for paths in contents.values() if len(paths) > 1]
    by_path: dict[Path, list[_Checked]] = {path: [] for paths in same for path in paths}
    for one in checked:
        if one.video.path in by_path:
            by_path[one.video.path].append(one)
    for paths in same:
        yield _duplicate([one for path in paths for one in by_path[path]])


def _duplicate(same: Sequence[_Checked]) -> Duplicate:
    return Duplicate(
        tuple((str(one.video.path), one.video.where) for one in same),
        len({one.in_val for one in same}) > 1,
        len({frozenset(one.video.labels) for one in same}) > 1,
    )
