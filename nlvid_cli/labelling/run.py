"""A run over many videos on this machine: what is to do, through the pipeline, into the ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from nlvid_cli.labelling.ledger import Ledger
from nlvid_cli.labelling.rows import FileState, Request, Row
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.recognize.pipeline.shared import Stages
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.clips import Segment
from nlvid_cli.video.remote import VideoPath

Todo = Sequence[tuple[VideoPath, FileState | None]]
"""Videos to label, each with the state of its file."""


@dataclass
class Tally:
    """What became of a run so far.

    Attributes:
        total: videos that were to do.
        done: videos with a prediction.
        failures: videos without, by type of error.
        video_seconds: length of the videos done.
        started: when the run began, in seconds of the monotonic clock.
        stages: seconds that each stage was busy, over all its processes; empty if nobody measured.
    """

    total: int
    done: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    video_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)
    stages: Stages = field(default_factory=Stages)

    @property
    def failed(self) -> int:
        """Videos without a prediction."""
        return self.failures.total()

    @property
    def seconds(self) -> float:
        """That the run has taken."""
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


@dataclass(frozen=True)
class LocalEngine:
    """Processes and devices of this machine.

    Attributes:
        recognizers: the model, once per device.
        request: what is wanted.
        limits: what may be taken.
        stopping: asked before each video whether no more are to be begun.
    """

    recognizers: Sequence[Recognizer]
    request: Request
    limits: Limits
    stopping: Callable[[], bool]

    def __call__(self, todo: Todo, tally: Tally) -> Generator[Row, None, None]:
        """Rows of videos as they are done."""
        first, *more = self.recognizers
        states = [state for _, state in todo]
        segments = (Segment(video) for video, _ in todo if not self.stopping())
        answer, auto_views = self.request.answer, self.request.auto_views
        for outcome in first.classify_unordered(segments, answer, self.limits, more, auto_views, tally.stages):
            yield Row.of(outcome.result, states[outcome.number], self.request)


def label(engine: Engine, ledger: Ledger, todo: Todo, tally: Tally, listener: Listener) -> None:
    """Make the rows of videos and write each as it is done.

    Args:
        engine: that makes them.
        ledger: open for writing.
        todo: the videos.
        tally: is kept up to date.
        listener: is told of each row when it is safe.

    Raises:
        OutputError: a row cannot be written.
    """
    with closing(engine(todo, tally)) as rows:
        for row in rows:
            with tally.stages.timed("write"):
                ledger.append(row)
            tally.count(row)
            listener(row)
