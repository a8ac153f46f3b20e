"""The decoding process: ``python -m nlvid_cli.recognize.pipeline.decode_process``.

It exchanges lines of JSON with :class:`~nlvid_cli.recognize.pipeline.worker.DecodeWorker`: a process that reads files
from outside is not trusted with more::

    it reads                                    it writes
    {"sampling", "rules", "memory_bytes",
     "timeout_seconds", "niceness",
     "caller": process id}                      {"ready": true}
    {"path", "stretch", "fps"}                  {"shape", "dtype", "seconds", "clips"}
    {"path", "stretch", "fps", "windows"}       the same, for the first part of the video
    {"next": true}                              the same, for the next part, until "clips" says that it was the last
    {"path", "numbers", "short_side"}           {"shape", "dtype", "seconds", "warnings"}
    {"into": path of shared memory, or null}    {"written": true}
    {"path"}                                    {"times_seconds", "facts", "warnings"}

Parts without frames have no shape. After replies with a shape comes ``into``. Each reply but the first may be
``{"error": {"type", "message"}}`` instead; after such an answer to ``into``, the process waits for another ``into``.
The frames themselves cross in shared memory.
The process imports neither torch nor anything that knows the model.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import numpy as np

from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.recognize.windows import Windows, decode_windows
from nlvid_cli.system.shortage import shortage
from nlvid_cli.system.terminal import for_people
from nlvid_cli.video.clips import ClipTable, decode_clips
from nlvid_cli.video.info import Pixels, VideoInfo
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.remote import RemotePath, video_path
from nlvid_cli.video.segment import Segment

Answer = tuple[Pixels | None, dict[str, Any]]
"""Frames, or None, and what else there is to say."""

ALARM_GRACE_SECONDS = 30
"""Time beyond the limit after which the process ends itself: whoever should have killed it is gone."""

PR_SET_PDEATHSIG = 1
"""From ``linux/prctl.h``."""

MAX_PROBED = 4096
"""Number of probed videos to keep in memory: 30 MB for videos of ten seconds."""

HEADROOM = 1.5
"""Factor of the memory limit at which allocations fail; the limit itself is enforced by the other side."""


def main() -> None:
    """Answer requests until stdin closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # clusters send them to all processes of a run
        signal.signal(number, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # libraries may print, and must not disturb the replies
    start = json.loads(sys.stdin.readline())
    sampling, rules = (_rules(start[name]) for name in ("sampling", "rules"))
    _end_with_the_caller(start["caller"])
    _limit_memory(start["memory_bytes"])
    _lower_priority(start["niceness"])
    _reply(replies, {"ready": True})
    answers: Iterator[Answer] = iter(())
    for line in sys.stdin:
        _set_alarm(start["timeout_seconds"] + ALARM_GRACE_SECONDS)
        began = time.perf_counter()
        try:
            asked = json.loads(line)
            if "next" not in asked:
                answers = _answers(asked, sampling, rules)
            frames, said = next(answers)
        except Exception as error:
            _set_alarm(0)
            _reply(replies, _failed(error))
            continue
        _set_alarm(0)
        said["seconds"] = time.perf_counter() - began
        if frames is None:
            _reply(replies, said)
            continue
        _reply(replies, said | {"shape": frames.shape, "dtype": frames.dtype.name})
        _hand_over(frames, replies)
        del frames


def _answers(asked: dict[str, Any], sampling: Any, rules: Any) -> Iterator[Answer]:
    if "windows" in asked:
        windows = Windows(**asked["windows"])
        yield from map(_part, decode_windows(Segment.from_dict(asked), sampling, rules, windows))
    else:
        yield _answer(asked, sampling, rules)


def _part(decoded: tuple[Pixels, ClipTable]) -> Answer:
    frames, clips = decoded
    return frames if frames.size else None, {"clips": asdict(clips)}


def _answer(asked: dict[str, Any], sampling: Any, rules: Any) -> Answer:
    if "stretch" in asked:
        frames, clips = decode_clips(Segment.from_dict(asked), sampling, rules, threads=1)
        return frames, {"clips": asdict(clips)}
    path = video_path(asked["path"])
    info = _probed(path if isinstance(path, RemotePath) else Path(path))
    if "numbers" in asked:
        numbers = np.array([asked["numbers"]], np.int64)
        read = read_frames(info, numbers, asked["short_side"], size=rules.size, threads=1)
        return read.frames, {"warnings": read.warnings}
    outline = {"times_seconds": info.times_seconds.tolist(), "facts": asdict(info.facts), "warnings": info.warnings}
    return None, outline


@lru_cache(MAX_PROBED)
def _probed(path: Path | RemotePath) -> VideoInfo:
    return probe(path)


def _hand_over(frames: Pixels, replies: TextIO) -> None:
    while (line := sys.stdin.readline()) and (into := json.loads(line)["into"]) is not None:
        try:
            with open(into, "r+b") as file:  # written, not mapped: where there is no room, writing is an error
                for clip in frames:
                    file.write(np.ascontiguousarray(clip).data)
        except OSError as error:
            said = shortage(error) or error.strerror or str(error)
            _reply(replies, {"error": {"type": type(error).__name__, "message": said}})
        else:
            _reply(replies, {"written": True})
            return


def _failed(error: Exception) -> dict[str, Any]:
    if os.environ.get("NLVID_DEBUG") == "1":
        traceback.print_exception(error, file=for_people(sys.stderr))
    return {"error": asdict(Failure.of("", error).error)}


def _reply(replies: TextIO, message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def _rules(values: dict[str, Any]) -> Any:
    """Return a part of the card as plain attributes; to import the card's own classes takes a third of the start."""
    return SimpleNamespace(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def _end_with_the_caller(caller: int) -> None:
    """Let the kernel kill this process when the thread that started it ends; a decoder that hangs would not notice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != caller:  # it has ended already
            sys.exit()


def _limit_memory(limit_bytes: int | None) -> None:
    """Make allocations far beyond the limit fail, and this process the first that the kernel kills."""
    if sys.platform != "linux":
        return
    import resource

    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # a container may forbid it
        file.write("1000")
    if limit_bytes is not None:
        used_bytes = 2**28  # the interpreter and its libraries
        most = int(limit_bytes * HEADROOM) + used_bytes
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))


def _lower_priority(niceness: int) -> None:
    """Threads of a network wait for each other, and one that a decoder delays delays them all."""
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, also inside a C function
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
