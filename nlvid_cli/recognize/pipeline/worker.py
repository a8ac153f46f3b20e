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
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nlvid_cli.card.card import Preprocess, Sampling
from nlvid_cli.errors import WorkerError
from nlvid_cli.recognize.pipeline.shared import MemoryBudget, SharedBlock, size_of_frames
from nlvid_cli.recognize.prediction import FailureReason
from nlvid_cli.video.clips import ClipTable, Segment
from nlvid_cli.video.info import Pixels

MODULE = "nlvid_cli.recognize.pipeline.decode_process"
"""What a worker process runs."""

START_SECONDS = 120.0
"""Time for a process to start; it takes less than a second, unless the disk is slow or far away."""

PAUSES_SECONDS = (1.0, 5.0, 20.0)
"""Before a process that takes the place of another is tried again: the system may be out of memory for a moment."""

ENDING_SECONDS = 2.0
"""For a process that has closed its pipe to end, so that its status says why."""

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
    facts: ClipTable
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
        self._has_worked = False

    def decode(self, stretch: Segment, budget: MemoryBudget | None = None) -> Decoded | FailureReason:
        """Decode a video; whatever happens to the process is a reason for this video.

        Args:
            stretch: of which video.
            budget: of which the bytes of the frames are taken before they cross, which may wait. They stay taken
                if the frames are returned, and only then.

        Raises:
            WorkerError: no process can be started.
        """
        request = asdict(stretch) | {"path": str(stretch.path)}
        self._ensure_started()
        try:
            reply = self._ask(request, self.limits.timeout_seconds)
            if "error" in reply:
                return self._reason(reply["error"])
            shape, dtype = tuple(map(int, reply["shape"])), str(reply["dtype"])
            size_bytes = size_of_frames(shape, dtype)
            if budget is not None and not budget.take(size_bytes):
                self._tell({"into": None})
                return FailureReason(
                    "MemoryExceeded",
                    f"its clips take {size_bytes / 1e6:.0f} MB, more than there may be in memory (--memory)",
                )
            frames = None
            try:
                frames = self._fetch(shape, dtype)
            finally:
                if budget is not None and not isinstance(frames, np.ndarray):
                    budget.give_back(size_bytes)
        except _Ended:
            return self._why_ended()
        if isinstance(frames, FailureReason):
            return frames
        return Decoded(frames, ClipTable.from_json(reply["facts"]), float(reply["seconds"]))

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
        pauses = list(PAUSES_SECONDS) if self._has_worked else []  # what has worked will work again
        while (said := self._try_to_start()) is not None:
            if not pauses or self._closed:
                raise WorkerError(f"a process for decoding does not start: {said}")
            time.sleep(pauses.pop(0))
        self._has_worked = True

    def _try_to_start(self) -> str | None:
        """Returns what the process, or the system, said if there is none now."""
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            try:
                self._process = _popen(None if os.environ.get("NLVID_DEBUG") == "1" else said.fileno())
            except OSError as error:
                return error.strerror or str(error)
            self._videos, self._killed_for = 1, None
            try:
                self._tell(json.loads(self._start))
                self._hear(START_SECONDS)
            except _Ended:
                ending = self._clear(ENDING_SECONDS)
                said.seek(0)
                return [ending, *(line.strip() for line in said if line.strip())][-1]
        return None

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
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            self._kill(self._process, "nonsense")
            raise _Ended from None
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
        why = self._killed_for
        ending = self._clear(ENDING_SECONDS)
        if why == "time":
            return FailureReason(
                "DecodeTimeout",
                f"decoding it took more than {self.limits.timeout_seconds:g} s and was ended (--timeout allows more)",
            )
        if why == "memory":
            return self._too_much_memory()
        if why == "nonsense":
            return FailureReason("DecoderCrashed", "the process that decoded it answered with what makes no sense")
        return FailureReason("DecoderCrashed", f"the process that decoded it ended unexpectedly, {ending}")

    def _too_much_memory(self) -> FailureReason:
        limit = f"{(self.limits.memory_bytes or 0) / 2**30:.3g} GiB"
        return FailureReason(
            "MemoryExceeded",
            f"decoding it took more than {limit} of memory and was ended (--worker-memory allows more)",
        )

    def _clear(self, patience_seconds: float = 0.0) -> str:
        """Forget the process, which has so long to end by itself; returns how it ended."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_seconds)
        self._process.kill()
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not yet written has nobody to read it
                pipe.close()
        self._process = None
        return _ending(status)


def _popen(stderr: int | None) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", MODULE],  # -P: or modules that lie in the current folder would be run
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="ascii",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)},
        process_group=None if os.name == "nt" else 0,  # Ctrl-C on the terminal is not for it
    )


def _ending(status: int) -> str:
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
