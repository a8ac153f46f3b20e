"""One run: an engine makes the rows of videos, and each is written to the ledger as it is done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from nlvid_cli.labelling.ledger import Ledger
from nlvid_cli.labelling.rows import FileState, Request, Row
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.recognize.pipeline.shared import Stages
from nlvid_cli.recognize.pipeline.tracker import Outcome
from nlvid_cli.recognize.prediction import Prediction
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.video.segment import Segment

Todo = Sequence[tuple[Segment, FileState | None]]
"""Videos to label, or parts of them, each with the state of its file."""


@dataclass
class Tally:
    """Counts of a run so far.

    Attributes:
        total: Number of videos to label.
        done: Number of videos with a prediction.
        failures: Number of videos that failed, by type of error.
        video_seconds: Total duration of the videos with a prediction.
        started: Start of the run, in seconds of the monotonic clock.
        stages: Seconds that each stage was busy, over all its processes; empty if nobody measured.
    """

    total: int
    done: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    video_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)
    stages: Stages = field(default_factory=Stages)

    @property
    def failed(self) -> int:
        """Number of videos that failed."""
        return self.failures.total()

    @property
    def seconds(self) -> float:
        """Time since the start of the run."""
        return time.monotonic() - self.started

    def count(self, row: Row) -> None:
        """Count a row that was written."""
        if row.summary.error is not None:
            self.failures[row.summary.error] += 1
        else:
            self.done += 1
            self.video_seconds += row.video_seconds


Engine = Callable[[Todo, Tally], Generator[Row, None, None]]
"""Makes the rows of videos, in any order."""

Listener = Callable[[Row], None]
"""Called with each row once it is written."""


@dataclass(frozen=True)
class LocalEngine:
    """Processes and devices of this machine.

    Attributes:
        recognizers: The model, once per device.
        request: What to ask about each video.
        limits: Limits on time, memory and processes.
        stopping: Whether to begin no more videos; asked before each one.
    """

    recognizers: Sequence[Recognizer]
    request: Request
    limits: Limits
    stopping: Callable[[], bool]

    def __call__(self, todo: Todo, tally: Tally) -> Generator[Row, None, None]:
        """Yield the rows of videos as they are done."""
        first, *more = self.recognizers
        states = [state for _, state in todo]
        segments = (segment for segment, _ in todo if not self.stopping())
        answer, auto_views, rule = self.request.answer, self.request.auto_views, self.request.rule
        outcomes: Iterator[Outcome[Prediction]] | Iterator[Outcome[Timeline]]
        if rule is None:
            outcomes = first.classify_unordered(segments, answer, self.limits, more, auto_views, tally.stages)
        else:
            outcomes = first.timeline_unordered(segments, answer, rule, self.limits, more, tally.stages)
        for outcome in outcomes:
            yield Row.of(outcome.result, states[outcome.number], self.request)


def label(engine: Engine, ledger: Ledger, todo: Todo, tally: Tally, listener: Listener) -> None:
    """Label videos, and write each row as it is done.

    Args:
        engine: Makes the rows.
        ledger: Ledger that is open for writing.
        todo: Videos to label.
        tally: Counts to keep up to date.
        listener: Called with each row once it is written.

    Raises:
        OutputError: A row cannot be written.
    """
    with closing(engine(todo, tally)) as rows:
        for row in rows:
            with tally.stages.timed("write"):
                ledger.append(row)
            tally.count(row)
            listener(row)
