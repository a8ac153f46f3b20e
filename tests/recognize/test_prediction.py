"""Results and their JSON."""

from __future__ import annotations

import errno
import pickle

import pytest

from nlvid_cli.errors import DecodeTimeout, VideoNotFound
from nlvid_cli.recognize.prediction import Failure, FailureReason
from tests.report.samples import PREDICTION


def test_keys_of_the_json_and_their_order() -> None:
    assert list(PREDICTION.to_dict()) == [
        "schema", "video", "model", "backend", "device", "precision", "duration_seconds", "frame_rate",
        "variable_frame_rate", "width", "height", "rotation_degrees", "views", "label_kind", "predictions", "unsure",
        "clips", "warnings",
    ]  # fmt: skip
    failure = Failure("a.mp4", FailureReason("VideoNotFound", "no such file"))
    assert list(failure.to_dict().items()) == [
        ("schema", 1),
        ("video", "a.mp4"),
        ("error", {"type": "VideoNotFound", "message": "no such file"}),
    ]


def test_a_failure_gives_back_its_exception() -> None:
    error = VideoNotFound("no such file")
    failure = Failure.of("a.mp4", error)
    assert failure.exception is error
    again = pickle.loads(pickle.dumps(failure))
    assert again == failure
    assert again.cause is None
    assert type(again.exception) is VideoNotFound
    assert str(again.exception) == "no such file"


def test_a_failure_of_another_process_is_of_the_same_class() -> None:
    assert type(Failure("a.mp4", FailureReason("DecodeTimeout", "slow")).exception) is DecodeTimeout
    internal = Failure.of("a.mp4", ZeroDivisionError("no"))
    assert internal.error.type == "InternalError"
    assert isinstance(internal.exception, ZeroDivisionError)
    assert type(Failure("a.mp4", internal.error).exception) is RuntimeError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("Unable to allocate 8 TiB"), "MemoryExceeded"),
        (RuntimeError("can't start new thread"), "ResourceShortage"),
        (OSError(errno.EMFILE, "Too many open files"), "ResourceShortage"),
    ],
)
def test_a_shortage_is_no_bug_of_nlvid(error: Exception, kind: str) -> None:
    failure = Failure.of("a.mp4", error)
    assert failure.error.type == kind
    assert type(failure.exception).__name__ == kind
    assert "bug" not in failure.error.message
