"""From the windows of a video, as they come from the network, to its timeline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.errors import UsageError
from nlvid_cli.recognize.pipeline.batches import Array, VideoOutputs
from nlvid_cli.recognize.pipeline.tracker import Outcome
from nlvid_cli.recognize.prediction import ClipPrediction, Failure
from nlvid_cli.recognize.segments import default_rule
from nlvid_cli.recognize.timeline import SegmentRule, Timeline
from nlvid_cli.recognize.windows import clip_seconds, default_every

if TYPE_CHECKING:
    from nlvid_cli.card.card import Sampling
    from nlvid_cli.video.info import VideoFacts

STOPPED = "stopped on request: nothing is known about what comes after {:.2f} s"


@dataclass(frozen=True)
class RuleOptions:
    """What differs from the default rule for windows and segments (``docs/timeline.md``); None: nothing.

    The fields are those of :class:`~nlvid_cli.recognize.timeline.SegmentRule`.

    Raises:
        UsageError: A value is impossible.
    """

    every_seconds: float | None = None
    smooth_seconds: float | None = None
    begin: float | None = None
    keep: float | None = None
    shortest_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.every_seconds is not None and not 0 < self.every_seconds < float("inf"):
            raise UsageError(f"windows need a distance above 0 s, not {self.every_seconds:g} s")
        for name, value in (("smooth", self.smooth_seconds), ("shortest", self.shortest_seconds)):
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"{name} must be 0 s or longer, not {value:g} s")
        for name, score in (("begin", self.begin), ("keep", self.keep)):
            if score is not None and not 0 <= score <= 1:
                raise UsageError(f"{name} is a score from 0 to 1, not {score:g}")
        if self.begin is not None and self.keep is not None and self.keep > self.begin:
            raise UsageError(f"keep ({self.keep:g}) must be at most begin ({self.begin:g})")

    def rule(self, sampling: Sampling, facts: VideoFacts) -> SegmentRule:
        """Return the rule for a video."""
        every = self.every_seconds or default_every(sampling, facts)
        rule = default_rule(clip_seconds(sampling, facts), every)
        given = {name: value for name, value in vars(self).items() if value is not None}
        if self.begin is not None and self.keep is None:
            given["keep"] = min(rule.keep, self.begin)
        if self.keep is not None and self.begin is None:
            given["begin"] = max(rule.begin, self.keep)
        return replace(rule, **given)


@dataclass(frozen=True, eq=False)
class WindowScores:
    """Some windows of a video after the network.

    Attributes:
        video: Their outputs, and facts of the video.
        windows: Best labels of each.
        scores: (windows, classes) in [0, 1], calibrated.
    """

    video: VideoOutputs
    windows: tuple[ClipPrediction, ...]
    scores: Array

    @classmethod
    def join(cls, parts: list[WindowScores]) -> WindowScores:
        """Join the parts of a video, in order of time. Facts and warnings are those of the last one."""
        first, last = parts[0].video, parts[-1].video
        some = [part for part in parts if part.windows]
        windows = tuple(window for part in some for window in part.windows)
        outputs = np.concatenate([part.video.outputs for part in some]) if some else first.outputs
        scores = np.concatenate([part.scores for part in some]) if some else parts[0].scores
        video = replace(
            last,
            start_seconds=tuple(window.start_seconds for window in windows),
            end_seconds=tuple(window.end_seconds for window in windows),
            outputs=outputs,
        )
        return cls(video, windows, scores)


Progress = Callable[[str, float, float], None]
"""Called with the name of a video, the seconds that were looked at, and its duration in seconds."""


class PartsOfVideos:
    """Makes one outcome for each video of the outcomes of its parts.

    Args:
        finish: Makes the timeline of all windows of a video.
        progress: Called after each part that has windows.
    """

    def __init__(self, finish: Callable[[WindowScores], Timeline | Failure], progress: Progress | None = None) -> None:
        self._finish = finish
        self._progress = progress
        self._parts: dict[int, list[Outcome[WindowScores]]] = defaultdict(list)

    def join(self, outcomes: Iterator[Outcome[WindowScores]]) -> Iterator[Outcome[Timeline]]:
        """Yield the outcome of each video once its last part is done."""
        for outcome in outcomes:
            self._tell(outcome)
            parts = self._parts[outcome.number]
            parts.append(outcome)
            if any(part.last and part.part + 1 == len(parts) for part in parts):
                yield self._joined(outcome.number, self._parts.pop(outcome.number))

    def stopped(self) -> Iterator[Outcome[Timeline]]:
        """Yield the outcomes of videos that are not complete, as far as they came, with a warning."""
        for number in sorted(self._parts):
            joined = self._joined(number, self._parts[number], stopped=True)
            if not isinstance(joined.result, Timeline) or joined.result.windows:
                yield joined

    def _tell(self, outcome: Outcome[WindowScores]) -> None:
        part = outcome.result
        if self._progress is not None and isinstance(part, WindowScores) and part.windows:
            facts = part.video.facts
            self._progress(str(part.video.segment.path), part.windows[-1].end_seconds, facts.duration_seconds)

    def _joined(self, number: int, parts: list[Outcome[WindowScores]], stopped: bool = False) -> Outcome[Timeline]:
        done: list[WindowScores] = []
        for part in sorted(parts, key=lambda outcome: outcome.part):
            if isinstance(part.result, Failure):
                return Outcome(number, part.result)
            done.append(part.result)
        whole = WindowScores.join(done)
        if stopped:
            end = whole.windows[-1].end_seconds if whole.windows else 0.0
            warnings = (*whole.video.warnings, STOPPED.format(end))
            whole = replace(whole, video=replace(whole.video, warnings=warnings))
        return Outcome(number, self._finish(whole))


class TimelineRun(Iterator[ClipPrediction]):
    """The windows of one video as they come from the network. Made by ``Recognizer.timeline``.

    Closing it ends the run and its process; so does reading it to the end.
    """

    def __init__(
        self,
        outcomes: Iterator[Outcome[WindowScores]],
        finish: Callable[[WindowScores], Timeline | Failure],
        close: Callable[[], None],
    ) -> None:
        self._outcomes = outcomes
        self._finish = finish
        self._close = close
        self._parts: list[WindowScores] = []
        self._waiting: list[ClipPrediction] = []
        self._timeline: Timeline | None = None

    def __next__(self) -> ClipPrediction:
        """Return the next window.

        Raises:
            VideoError: The video cannot be used; the message says why.
            InputShapeError: Its clips are too short or too small for the network.
            NumericalError: The network produced NaN or infinity.
        """
        while not self._waiting:
            outcome = next(self._outcomes)
            if isinstance(outcome.result, Failure):
                self.close()
                raise outcome.result.exception
            self._parts.append(outcome.result)
            self._waiting += outcome.result.windows
        return self._waiting.pop(0)

    @property
    def timeline(self) -> Timeline:
        """The timeline of the whole video, once all its windows were looked at."""
        if self._timeline is None:
            for _ in self:
                pass
            result = self._finish(WindowScores.join(self._parts))
            if isinstance(result, Failure):
                raise result.exception
            self._timeline = result
            self._parts.clear()
        return self._timeline

    def close(self) -> None:
        """End the run; may be called again."""
        self._close()


def times_of(windows: tuple[ClipPrediction, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the starts and the ends of windows, each (windows,), in seconds."""
    return (
        np.array([window.start_seconds for window in windows], np.float64),
        np.array([window.end_seconds for window in windows], np.float64),
    )
