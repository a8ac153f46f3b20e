"""Rows of an output file: the JSON of a result, after what tells whether the video must be labelled again.

A row is the line that ``nlvid classify --format jsonl`` writes, with more keys at its start::

    {"schema": 1, "video": ..., "stretch": {...}, "fps": ..., "file": {...}, "model": ..., "model_sha256": ...,
     "asked": {...}, "answer": {...}, ...the result}

Rows of whole videos have no ``stretch``, and only those of folders of frames have ``fps``.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nlvid_cli.errors import UsageError
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.prediction import Failure, Result, Views
from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.recognize.timeline_run import RuleOptions
from nlvid_cli.system.strict_json import parse_json
from nlvid_cli.video.remote import RemotePath, remote_state
from nlvid_cli.video.segment import Segment, Stretch

RowKey = tuple[str, Stretch | None, str, str]
"""Video, stretch of it, model and views. Of several rows with one key, only one counts: a folder of frames that gets
another rate is labelled again, and its old row goes."""

ROW_KEYS = frozenset(("schema", "video", "file", "model", "asked", "answer"))
"""Keys of every row."""

_NUMBER = (int, float)

_MOST = 2**53
"""Integers below it are exact in all programs."""

_MOST_IN_TABLE = 2**31
"""Integers below it fit into the columns of a Parquet table."""

_COLUMNS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("device", "precision"), (str,)),
    **dict.fromkeys(("duration_seconds", "frame_rate"), _NUMBER),
    **dict.fromkeys(("variable_frame_rate", "unsure"), (bool,)),
}
"""Types of the plain values of a prediction that tables show."""

_SMALL_COLUMNS = ("width", "height", "rotation_degrees")
"""Those that are small integers."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells whether a video file has changed.

    Attributes:
        size_bytes: Size; None if the server of a remote file does not report it.
        modified_seconds: Time of modification since 1970, of a local file.
        etag: Version of a remote file, if the server reports one.
    """

    size_bytes: int | None
    modified_seconds: float | None = None
    etag: str | None = None

    @classmethod
    def parse(cls, value: Any) -> FileState | None:
        """Read the ``file`` of a row.

        Raises:
            TypeError: The value is not of the documented form.
        """
        if value is None:
            return None
        _expect(value, dict)
        return cls(
            _expect(value.get("size_bytes"), int, None),
            _expect(value.get("modified_seconds"), *_NUMBER, None),
            _expect(value.get("etag"), str, None),
        )

    @property
    def record(self) -> dict[str, Any]:
        """The ``file`` of a row."""
        if self.modified_seconds is not None:
            return {"size_bytes": self.size_bytes, "modified_seconds": self.modified_seconds}
        return {"size_bytes": self.size_bytes, "etag": self.etag}


def file_state(video: RemotePath | str | Path) -> FileState | None:
    """Return the state of a file now; None if the file is missing or out of reach.

    That of a folder of pictures is the size of all its files, and the time of the last change of any.
    """
    if isinstance(video, RemotePath):
        state = remote_state(video)
        return None if state is None else FileState(state["size_bytes"], etag=state["etag"])
    try:
        status = os.stat(video)
        size_bytes, modified = status.st_size, status.st_mtime_ns
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(video) as entries:
                files = [entry.stat() for entry in entries if entry.is_file()]
            size_bytes = sum(file.st_size for file in files)
            modified = max([modified, *(file.st_mtime_ns for file in files)])
    except (OSError, ValueError):
        return None
    return FileState(size_bytes, round(modified / 1e9, 6))


@dataclass(frozen=True)
class Request:
    """What a run asks about each video.

    Attributes:
        model: Full name of the model.
        model_sha256: First digits of the sha256 of the model's file, see ``Recognizer.model_sha256``.
        views: Views to score.
        auto_views: Whether to stop adding clips once the answer is settled.
        answer: Labels to report.
        rule: What differs from the default rule of timelines, whose segments are asked for; None: no segments.
    """

    model: str
    model_sha256: str | None
    views: Views
    auto_views: bool
    answer: Answer
    rule: RuleOptions | None = None

    @cached_property
    def views_record(self) -> dict[str, Any]:
        """The ``asked`` of a row."""
        timeline = {} if self.rule is None else {"timeline": asdict(self.rule)}
        return asdict(self.views) | {"auto": self.auto_views} | timeline

    @cached_property
    def answer_record(self) -> dict[str, Any]:
        """The ``answer`` of a row."""
        labels = None if self.answer.labels is None else list(self.answer.labels)
        return asdict(self.answer) | {"labels": labels}

    def is_answered_by(self, row: RowSummary) -> bool:
        """Whether a row is about this model and these views."""
        return (row.model, row.model_sha256, row.asked) == (self.model, self.model_sha256, self.views_record)


@dataclass(frozen=True, slots=True)
class RowSummary:
    """The part of a row that is kept in memory: what was asked about which file, and whether it failed.

    Attributes:
        video: Path or address.
        file: State of the file when it was decoded; None if it was missing or out of reach.
        model: Full name of the model.
        model_sha256: First digits of the sha256 of the model's file; None in rows of early versions.
        asked: Views, as JSON.
        answer: Labels to report, as JSON.
        error: Type of the error; None if there is a prediction.
        stretch: Part of the video; None: all of it.
        fps: Frames per second that a folder of frames was given; None: a file.
    """

    video: str
    file: FileState | None
    model: str
    model_sha256: str | None
    asked: dict[str, Any]
    answer: dict[str, Any]
    error: str | None
    stretch: Stretch | None = None
    fps: float | None = None

    @property
    def key(self) -> RowKey:
        """Video, stretch, model and views."""
        return (self.video, self.stretch, self.model, json.dumps(self.asked))

    @property
    def segment(self) -> Segment:
        """The video, or the part of it."""
        return Segment(self.video, self.stretch, self.fps)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an output file. It is serialised or parsed once, here.

    Attributes:
        summary: What tells whether the video must be labelled again.
        record: The whole line as JSON.
        line: The same as bytes, with the line feed.
    """

    summary: RowSummary
    record: dict[str, Any]
    line: bytes

    @classmethod
    def of(cls, result: Result | Timeline, file: FileState | None, request: Request) -> Row:
        """Make the row of a result.

        Args:
            result: Prediction, timeline or failure. Of a timeline, the segments are kept and the windows are not.
            file: State of the file before it was decoded.
            request: What was asked.
        """
        values = result.to_dict()
        if isinstance(result, Timeline):
            del values["windows"]
            result = result.prediction
        error = result.error.type if isinstance(result, Failure) else None
        asked, answer = request.views_record, request.answer_record
        summary = RowSummary(
            result.video, file, request.model, request.model_sha256, asked, answer, error, result.stretch, result.fps
        )
        record = {
            "schema": result.schema,
            "video": result.video,
            **({} if result.stretch is None else {"stretch": result.stretch.to_dict()}),
            **({} if result.fps is None else {"fps": result.fps}),
            "file": None if file is None else file.record,
            "model": request.model,
            "model_sha256": request.model_sha256,
            "asked": asked,
            "answer": answer,
        }
        record |= {key: value for key, value in values.items() if key not in record}
        return cls(summary, record, (json.dumps(record) + "\n").encode("ascii"))

    @classmethod
    def parse(cls, line: bytes) -> Row:
        """Read a line of an output file.

        Raises:
            ValueError: The line is not a whole row, for example because the power failed while it was written.
        """
        if not line.endswith(b"}\n"):
            raise ValueError("the line is incomplete")
        try:
            record = parse_json(line)
            return cls(_summary_of(record), record, line)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a row of nlvid label ({error})") from None

    @property
    def video_seconds(self) -> float:
        """Duration of the video; 0 for a failure."""
        return 0.0 if self.summary.error is not None else float(self.record["duration_seconds"])


def _summary_of(record: Any) -> RowSummary:
    """The summary of a parsed row; KeyError or TypeError if any of the keys that are used later is missing or wrong."""
    _expect(record, dict)
    if "error" in record:
        _expect(_expect(record["error"], dict)["message"], str)
    else:
        _check_prediction(record)
    return RowSummary(
        _expect(record["video"], str),
        FileState.parse(record["file"]),
        _expect(record["model"], str),
        _expect(record.get("model_sha256"), str, None),
        _expect(record["asked"], dict),
        _expect(record["answer"], dict),
        _expect(record["error"]["type"], str) if "error" in record else None,
        _stretch_of(record),
        _fps_of(record),
    )


def _stretch_of(record: dict[str, Any]) -> Stretch | None:
    if "stretch" not in record:
        return None
    values = _expect(record["stretch"], dict)
    for name, value in values.items():
        _expect(value, *((int,) if name.endswith("_frame") else _NUMBER))
    try:
        return Stretch.from_dict(values)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _fps_of(record: dict[str, Any]) -> float | None:
    if "fps" not in record:
        return None
    fps = float(_expect(record["fps"], *_NUMBER))
    if fps <= 0:
        raise ValueError(f"{fps:g} where a rate should be")
    return fps


def _check_prediction(record: dict[str, Any]) -> None:
    for best in _expect(record["predictions"], list):
        _expect(_expect(best, dict)["label"], str)
        _expect_small(best["index"])
        _expect(best["score"], *_NUMBER)
    for name in ("clips", "crops"):
        _expect_small(_expect(record["views"], dict)[name])
    for segment in _expect(record.get("segments", []), list):
        _expect(_expect(segment, dict)["label"], str)
        _expect_small(segment["index"])
        for name in ("start_seconds", "end_seconds", "score"):
            _expect(segment[name], *_NUMBER)
    for warning in _expect(record.get("warnings", []), list):
        _expect(warning, str)
    for name, kinds in _COLUMNS.items():
        if name in record:  # rows of early versions have fewer keys
            _expect(record[name], *kinds)
    for name in _SMALL_COLUMNS:
        if name in record:
            _expect_small(record[name])


def _expect_small(value: Any) -> None:
    if not -_MOST_IN_TABLE <= _expect(value, int) < _MOST_IN_TABLE:
        raise TypeError(f"{value} where a small number should be")


def _expect(value: Any, *kinds: type | None) -> Any:
    """Return a value that is of one of these types; None stands for itself, and a bool is not a number."""
    kind = None if value is None else type(value)
    if kind not in kinds:
        names = " or ".join("null" if kind is None else kind.__name__ for kind in kinds)
        raise TypeError(f"{'null' if kind is None else kind.__name__} instead of {names}")
    if kind is int and abs(value) > _MOST:
        raise TypeError(f"{value} is too large a number")
    return value
