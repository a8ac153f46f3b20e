"""Rows of the output: the JSON of a result, and before it what tells whether it has to be made again.

A row is what ``nlvid classify --format jsonl`` writes, and::

    {"schema": 1, "video": ..., "file": {...}, "model": ..., "model_sha256": ...,
     "asked": {...}, "answer": {...}, ...the result}
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.prediction import Result, Views, record_of
from nlvid_cli.video.remote import RemotePath, VideoPath, remote_state

Identity = tuple[str, str, str]
"""Video, model and views: there is one row of each."""


@dataclass(frozen=True)
class Request:
    """What is wanted of each video, beside the video itself.

    Attributes:
        model: full name.
        model_sha256: first digits of the sha256 of its file, see ``Recognizer.model_sha256``.
        views: how each video is to be looked at.
        auto_views: whether clips that change nothing are left out.
        answer: what is told.
    """

    model: str
    model_sha256: str | None
    views: Views
    auto_views: bool
    answer: Answer

    @property
    def asked(self) -> dict[str, Any]:
        """The views, as in a row."""
        return asdict(self.views) | {"auto": self.auto_views}

    @property
    def told(self) -> dict[str, Any]:
        """The answer, as in a row."""
        values = asdict(self.answer)
        return values | {"labels": None if self.answer.labels is None else list(self.answer.labels)}

    def is_answered_by(self, head: Head) -> bool:
        """Whether a row is one of this model and these views."""
        wanted = (self.model, self.model_sha256, self.asked)
        return (head.model, head.model_sha256, head.asked) == wanted


@dataclass(frozen=True)
class Head:
    """What stands first in a row.

    Attributes:
        video: the path.
        file: state of the file when it was looked at: ``size_bytes``, and ``modified_seconds`` or ``etag``.
        model: full name.
        model_sha256: first digits of the sha256 of its file.
        asked: the views.
        answer: what was told.
        error: type of the error, None if there is a prediction.
    """

    video: str
    file: dict[str, Any] | None
    model: str
    model_sha256: str | None
    asked: dict[str, Any]
    answer: dict[str, Any]
    error: str | None

    @property
    def identity(self) -> Identity:
        """What no two rows that count have in common."""
        return (self.video, self.model, json.dumps(self.asked))


def file_state(video: VideoPath) -> dict[str, Any] | None:
    """Size and time of modification of a file, by which a changed one is recognised; None if there is none.

    At an address, the version that the server tells (``etag``) stands for the time.
    """
    if isinstance(video, RemotePath):
        return remote_state(video)
    try:
        status = os.stat(video)
    except (OSError, ValueError):
        return None
    return {"size_bytes": status.st_size, "modified_seconds": round(status.st_mtime_ns / 1e9, 6)}


def row_of(result: Result, file: dict[str, Any] | None, request: Request) -> dict[str, Any]:
    """The row of a result."""
    values = record_of(result)
    first = {
        "schema": values.pop("schema"),
        "video": values.pop("video"),
        "file": file,
        "model": request.model,
        "model_sha256": request.model_sha256,
        "asked": request.asked,
        "answer": request.told,
    }
    values.pop("model", None)
    return first | values


def line_of(row: dict[str, Any]) -> bytes:
    """The row as a line of JSON."""
    return (json.dumps(row) + "\n").encode("ascii")


def parse_line(line: bytes) -> tuple[Head, dict[str, Any]]:
    """The row in a line, and what stands first in it.

    Raises:
        ValueError: it is not a whole row, as when the power failed while it was written.
    """
    if not line.endswith(b"}\n"):
        raise ValueError("the line does not end")
    row = json.loads(line)
    try:
        error = row["error"]["type"] if "error" in row else None
        model_sha256 = row.get("model_sha256")  # missing in rows of early versions
        return Head(row["video"], row["file"], row["model"], model_sha256, row["asked"], row["answer"], error), row
    except (KeyError, TypeError) as problem:
        raise ValueError(f"not a row of nlvid label ({problem})") from None
