"""Rows of the output: the JSON of a result, and before it what tells whether it has to be made again.

A row is what ``nlvid classify --format jsonl`` writes, and::

    {"schema": 1, "video": ..., "file": {...}, "model": ..., "asked": {...}, "answer": {...}, ...the result}

These keys stand first and in this order, so that a file of many rows can be looked through without reading the results.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from nlvid_cli.answer import Answer
from nlvid_cli.prediction import Result, Views
from nlvid_cli.video.remote import is_address, remote_state

HEAD_ENDS = (b', "error": {', b', "backend": "')
"""What follows the keys that stand first, in the row of a failure and in that of a prediction. It cannot be within a
text, where quotes are escaped."""


@dataclass(frozen=True)
class Request:
    """What is wanted of each video, beside the video itself.

    Attributes:
        model: full name.
        views: how each video is to be looked at.
        auto_views: whether clips that change nothing are left out.
        answer: what is told.
    """

    model: str
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
        return head.model == self.model and head.asked == self.asked


@dataclass(frozen=True)
class Head:
    """What stands first in a row.

    Attributes:
        video: the path.
        file: state of the file when it was looked at: ``size_bytes``, and ``modified_seconds`` or ``etag``.
        model: full name.
        asked: the views.
        answer: what was told.
        error: type of the error, None if there is a prediction.
    """

    video: str
    file: dict[str, Any] | None
    model: str
    asked: dict[str, Any]
    answer: dict[str, Any]
    error: str | None

    @property
    def identity(self) -> tuple[str, str, str]:
        """Video, model and views: there is one row of each."""
        return (self.video, self.model, json.dumps(self.asked))


def file_state(video: str) -> dict[str, Any] | None:
    """Size and time of modification of a file, by which a changed one is recognised; None if there is none.

    At an address, the version that the server tells (``etag``) stands for the time.
    """
    if is_address(video):
        return remote_state(video)
    try:
        status = os.stat(video)
    except (OSError, ValueError):
        return None
    return {"size_bytes": status.st_size, "modified_seconds": round(status.st_mtime_ns / 1e9, 6)}


def row_of(result: Result, file: dict[str, Any] | None, request: Request) -> dict[str, Any]:
    """The row of a result."""
    values = asdict(result)
    first = {
        "schema": values.pop("schema"),
        "video": values.pop("video"),
        "file": file,
        "model": request.model,
        "asked": request.asked,
        "answer": request.told,
    }
    values.pop("model", None)
    return first | values


def line_of(row: dict[str, Any]) -> bytes:
    """The row as a line of JSON."""
    return (json.dumps(row) + "\n").encode("ascii")


def head_of(line: bytes) -> Head:
    """What stands first in a line.

    Raises:
        ValueError: it is not a whole row, as when the power failed while it was written.
    """
    if not line.endswith(b"}\n"):
        raise ValueError("the line does not end")
    failed, succeeded = (line.find(end) for end in HEAD_ENDS)
    is_failure = failed >= 0 and (succeeded < 0 or failed < succeeded)
    end = failed if is_failure else succeeded
    try:
        values = json.loads(line[:end] + b"}" if end >= 0 else line)
        error = json.loads(line)["error"]["type"] if is_failure else None
        return Head(values["video"], values["file"], values["model"], values["asked"], values["answer"], error)
    except (KeyError, TypeError) as problem:
        raise ValueError(f"not a row of nlvid label ({problem})") from None
