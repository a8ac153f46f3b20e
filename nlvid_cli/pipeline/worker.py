"""A process that decodes one video at a time, seen from the side that asks it.

Why not a pool of a library: each worker has a pipe of its own, so that whatever a file does to the process (hang,
crash, take all memory) is known to be that file's doing and breaks nothing that others share; between decoding and the
hand-over of the frames there is a wait for memory, during which no time limit runs; and as the process is started
anew instead of forked or spawned, it knows nothing of torch and does not run the user's script again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from os import fspath
from typing import Any

from nlvid_cli.checkpoints.card import Preprocess, Sampling
from nlvid_cli.errors import WorkerError
from nlvid_cli.pipeline.shared import SharedBlock, size_of_frames
from nlvid_cli.prediction import FailureReason
from nlvid_cli.video.clips import ClipFacts, Stretch
from nlvid_cli.video.info import Pixels

MODULE = "nlvid_cli.pipeline.decode_process"
"""What a worker process runs."""

START_SECONDS = 120.0
"""Time for a process to start; it takes less than a second, unless the disk is slow or far away."""

VIDEOS_PER_PROCESS = 2000
"""After so many a process is replaced by a new one, so that leaks of decoders cannot add up."""


@dataclass(frozen=True)
class WorkerLimits:
    """What the decoding of one video may take.

    Attributes:
        timeout_seconds: time.
        memory_bytes: resident memory of its process; None: as much as there is.
    """

    timeout_seconds: float = 300.0
    memory_bytes: int | None = 4 << 30


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded video.

    Attributes:
        frames: as from :func:`nlvid_cli.video.clips.decode_clips`, in shared memory.
        facts: the same.
        seconds: that decoding took.
    """

    frames: Pixels
    facts: ClipFacts
    seconds: float


class _Ended(Exception):
    """The process is no more."""


class DecodeWorker:
    """Decodes videos, one after the other, in a process that is started when it is needed and anew when it ended.

    :meth:`decode` is called by one thread, :meth:`enforce` by another, several times a second.
    """

    def __init__(self, sampling: Sampling, rules: Preprocess, limits: WorkerLimits) -> None:
        self.limits = limits
        self._start = json.dumps({"sampling": asdict(sampling), "rules": asdict(rules), **asdict(limits)})
        self._process: subprocess.Popen[str] | None = None
        self._videos = 0
        self._deadline: float | None = None
        self._killed_for: str | None = None
        self._closed = False

    def decode(self, stretch: Stretch, reserve: Callable[[int], bool]) -> Decoded | FailureReason:
        """Decode a video; whatever happens to the process is a reason for this video.

        Args:
            stretch: of which video.
            reserve: is asked for the bytes of the frames before they cross, and may wait.

        Raises:
            WorkerError: no process can be started.
        """
        request = asdict(stretch) | {"path": fspath(stretch.path)}
        self._ensure_started()
        try:
            reply = self._ask(request, self.limits.timeout_seconds)
            if "error" in reply:
                return self._reason(reply["error"])
            shape, dtype = tuple(map(int, reply["shape"])), str(reply["dtype"])
            if not reserve(size_of_frames(shape, dtype)):
                self._tell({"into": None})
                megabytes = size_of_frames(shape, dtype) / 1e6
                return FailureReason(
                    "MemoryExceeded", f"its clips take {megabytes:.0f} MB, more than there may be in memory (--memory)"
                )
            frames = self._fetch(shape, dtype)
        except _Ended:
            return self._why_ended()
        if isinstance(frames, FailureReason):
            return frames
        return Decoded(frames, facts_of(reply["facts"]), float(reply["seconds"]))

    def enforce(self) -> None:
        """End the process if it is beyond its limits."""
        process, deadline = self._process, self._deadline
        if process is None or deadline is None or self._killed_for:
            return
        if time.monotonic() > deadline:
            self._kill(process, "time")
        elif self.limits.memory_bytes is not None and _resident_bytes(process.pid) > self.limits.memory_bytes:
            self._kill(process, "memory")

    def stop(self) -> None:
        """End the process, whatever it does; may be called from any thread, and no video comes after it."""
        self._closed = True
        process = self._process
        if process is not None:
            self._kill(process, "stop")

    def close(self) -> None:
        """End the process and forget it, when nobody is in :meth:`decode` any more."""
        self._closed = True
        if self._process is not None:
            self._clear()

    def _kill(self, process: subprocess.Popen[str], why: str) -> None:
        self._killed_for = why
        process.kill()

    def _ensure_started(self) -> None:
        if self._process is not None and (self._process.poll() is not None or self._videos >= VIDEOS_PER_PROCESS):
            self._clear()  # it ended while idle, which is no video's fault
        if self._process is not None:
            self._videos += 1
            return
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            self._process = _popen(None if os.environ.get("NLVID_DEBUG") == "1" else said.fileno())
            self._videos, self._killed_for = 1, None
            try:
                self._tell(json.loads(self._start))
                self._hear(START_SECONDS)
            except _Ended:
                self._clear()
                said.seek(0)
                lines = [line.strip() for line in said if line.strip()] or ["it said nothing"]
                raise WorkerError(f"a process for decoding does not start: {lines[-1]}") from None

    def _ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        self._tell(message)
        return self._hear(seconds)

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise _Ended from None

    def _hear(self, seconds: float) -> dict[str, Any]:
        """The next reply; after so many seconds :meth:`enforce` ends the process."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._deadline = time.monotonic() + seconds
        line = self._process.stdout.readline()
        self._deadline = None
        if not line.endswith("\n") or self._closed:
            raise _Ended
        message: dict[str, Any] = json.loads(line)
        return message

    def _fetch(self, shape: tuple[int, ...], dtype: str) -> Pixels | FailureReason:
        block = SharedBlock(size_of_frames(shape, dtype))
        try:
            reply = self._ask({"into": block.path}, self.limits.timeout_seconds)
            return self._reason(reply["error"]) if "error" in reply else block.frames(shape, dtype)
        finally:
            block.close()

    def _reason(self, error: dict[str, Any]) -> FailureReason:
        if error["type"] == "MemoryExceeded":
            return self._too_much_memory()
        return FailureReason(str(error["type"]), str(error["message"]))

    def _why_ended(self) -> FailureReason:
        assert self._process is not None
        process, why = self._process, self._killed_for
        self._clear()
        if why == "time":
            return FailureReason(
                "DecodeTimeout",
                f"decoding it took more than {self.limits.timeout_seconds:g} s and was ended (--timeout allows more)",
            )
        if why == "memory":
            return self._too_much_memory()
        return FailureReason("DecoderCrashed", f"the process that decoded it ended unexpectedly, {_ending(process)}")

    def _too_much_memory(self) -> FailureReason:
        limit = f"{(self.limits.memory_bytes or 0) / 2**30:.3g} GiB"
        return FailureReason(
            "MemoryExceeded",
            f"decoding it took more than {limit} of memory and was ended (--worker-memory allows more)",
        )

    def _clear(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not yet written has nobody to read it
                pipe.close()
        self._process = None


def _popen(stderr: int | None) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="ascii",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)},
        process_group=None if os.name == "nt" else 0,  # Ctrl-C on the terminal is not for it
    )


def facts_of(values: dict[str, Any]) -> ClipFacts:
    """The facts, from what ``asdict`` made of them and JSON of that."""
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return ClipFacts(**plain)


def _ending(process: subprocess.Popen[str]) -> str:
    status = process.returncode
    if status == -9:
        return "killed (signal 9, as the kernel does when memory runs out)"
    if status < 0:
        return f"by signal {-status} ({signal.Signals(-status).name})"
    return f"with status {status}"


def _resident_bytes(pid: int) -> int:
    """Memory of its own that a process occupies; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
