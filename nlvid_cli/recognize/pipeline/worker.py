"""A process that decodes one video at a time, seen from the process that asks it.

Why not a pool of a library: each worker has a pipe of its own, so whatever a file does to the process (hang, crash,
take all memory) is known to be the fault of that file, and breaks nothing that others share. Between decoding and the
hand-over of the frames the worker waits for memory, and no time limit runs meanwhile. And as the process is neither
forked nor spawned, it does not load torch and does not run the user's script again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nlvid_cli.card.card import Preprocess, Sampling
from nlvid_cli.errors import WorkerError
from nlvid_cli.recognize.pipeline.shared import MemoryBudget, SharedBlock, size_of_frames
from nlvid_cli.recognize.prediction import FailureReason
from nlvid_cli.recognize.windows import Windows
from nlvid_cli.system.shortage import shortage
from nlvid_cli.video.clips import ClipTable
from nlvid_cli.video.info import Pixels
from nlvid_cli.video.segment import Segment

MODULE = "nlvid_cli.recognize.pipeline.decode_process"
"""Module that a worker process runs."""

NICENESS = 10
"""Priority of a process beside a network; the network goes first."""

START_SECONDS = 120.0
"""Time for a process to start. It takes less than a second, unless the disk is slow or far away."""

PAUSES_SECONDS = (1.0, 5.0, 20.0)
"""Pauses before new attempts to replace a process: the system may be out of memory for a moment."""

FIRST_PAUSES_SECONDS = (0.1, 0.5, 2.0)
"""The same where no process of a worker has started yet: the reason may be one that never passes."""

ENDING_SECONDS = 2.0
"""Time for a process that has closed its pipe to end, so that its exit status can tell why."""

VIDEOS_PER_PROCESS = 2000
"""Videos after which a process is replaced, so that leaks of decoders cannot add up."""


@dataclass(frozen=True)
class WorkerLimits:
    """Resources that decoding one video may use.

    Attributes:
        timeout_seconds: Time limit; where a video is decoded in parts, that of each.
        memory_bytes: Resident memory of its process; None: no limit.
    """

    timeout_seconds: float = 300.0
    memory_bytes: int | None = 4 << 30


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded video, or a part of one.

    Attributes:
        frames: Frames of its different clips, as :func:`nlvid_cli.video.clips.decode_clips` returns them; or of some
            windows, as :func:`nlvid_cli.recognize.windows.decode_windows` does.
        clips: Where its clips are.
        seconds: Time that decoding took.
    """

    frames: Pixels
    clips: ClipTable
    seconds: float


class _Ended(Exception):
    """The process has ended."""


class DecodeWorker:
    """Decodes videos, one after another, in a process that is started when needed, and again after it ended.

    One thread calls :meth:`decode`; another one calls :meth:`enforce` several times a second.
    """

    def __init__(self, sampling: Sampling, rules: Preprocess, limits: WorkerLimits, niceness: int = NICENESS) -> None:
        self.limits = limits
        rules_of_start = {"sampling": asdict(sampling), "rules": asdict(rules), "niceness": niceness}
        self._start = rules_of_start | asdict(limits)
        self._process: subprocess.Popen[str] | None = None
        self._videos = 0
        self._deadline: float | None = None
        self._killed_for: str | None = None
        self._closed = threading.Event()
        self._has_worked = False

    def decode(self, segment: Segment, budget: MemoryBudget | None = None) -> Decoded | FailureReason:
        """Decode the clips of a video; see :meth:`parts`."""
        (decoded,) = self.parts(segment, None, budget)
        return decoded

    def parts(
        self, segment: Segment, windows: Windows | None, budget: MemoryBudget | None = None
    ) -> Iterator[Decoded | FailureReason]:
        """Decode a video, part by part, each when it is asked for.

        Whatever happens to the process is a reason for this video to fail, and ends it.

        Args:
            segment: Video to decode.
            windows: Windows to decode; None: the card's clips, all in one part.
            budget: Where the memory of the frames is taken before they cross, which may wait. It stays taken if the
                frames are returned, and only then.

        Raises:
            WorkerError: No process can be started.
        """
        request = segment.to_dict()
        if windows is not None:
            request["windows"] = asdict(windows)
        got = self.frames(request, budget)
        while not isinstance(got, FailureReason):
            frames, said = got
            decoded = Decoded(frames, ClipTable.from_json(said["clips"]), float(said["seconds"]))
            yield decoded
            if decoded.clips.last:
                return
            del decoded, frames  # their memory is the caller's now
            got = self._frames({"next": True}, budget)
        yield got

    def frames(
        self, request: dict[str, Any], budget: MemoryBudget | None = None
    ) -> tuple[Pixels, dict[str, Any]] | FailureReason:
        """Return the frames that answer a request of :mod:`~nlvid_cli.recognize.pipeline.decode_process`, and the rest.

        Arguments and errors are those of :meth:`parts`.
        """
        self._ensure_started()
        return self._frames(request, budget)

    def _frames(
        self, request: dict[str, Any], budget: MemoryBudget | None
    ) -> tuple[Pixels, dict[str, Any]] | FailureReason:
        try:
            reply = self._ask(request, self.limits.timeout_seconds)
            if "error" in reply:
                return self._reason(reply["error"])
            if "shape" not in reply:
                return np.empty(0, np.uint8), reply
            shape, dtype = tuple(map(int, reply["shape"])), str(reply["dtype"])
            size_bytes = size_of_frames(shape, dtype)
            if budget is not None and not budget.take(size_bytes):
                self._tell({"into": None})
                return FailureReason(
                    "MemoryExceeded",
                    f"its clips take {size_bytes / 1e6:.0f} MB, more than --memory allows",
                )
            frames = None
            try:
                frames = self._fetch(shape, dtype)
            finally:
                if budget is not None and not isinstance(frames, np.ndarray):
                    budget.give_back(size_bytes)
        except _Ended:
            return self._why_ended()
        return frames if isinstance(frames, FailureReason) else (frames, reply)

    def values(self, request: dict[str, Any]) -> dict[str, Any] | FailureReason:
        """Return the answer to a request without frames.

        Raises:
            WorkerError: No process can be started.
        """
        self._ensure_started()
        try:
            reply = self._ask(request, self.limits.timeout_seconds)
        except _Ended:
            return self._why_ended()
        return self._reason(reply["error"]) if "error" in reply else reply

    def enforce(self) -> None:
        """Kill the process if it exceeds its limits."""
        process, deadline = self._process, self._deadline
        if process is None or deadline is None or self._killed_for:
            return
        if time.monotonic() > deadline:
            self._kill(process, "time")
        elif self.limits.memory_bytes is not None and _resident_bytes(process.pid) > self.limits.memory_bytes:
            self._kill(process, "memory")

    def stop(self) -> None:
        """Kill the process, whatever it does. Any thread may call it, and no video may be decoded afterwards."""
        self._closed.set()
        process = self._process
        if process is not None:
            self._kill(process, "stop")

    def close(self) -> None:
        """Kill the process and clean up, once no thread is in :meth:`decode`."""
        self._closed.set()
        if self._process is not None:
            self._clear()

    def _kill(self, process: subprocess.Popen[str], why: str) -> None:
        self._killed_for = why
        process.kill()

    def _ensure_started(self) -> None:
        if self._process is not None and (self._process.poll() is not None or self._videos >= VIDEOS_PER_PROCESS):
            self._clear()  # if it ended while idle, no video is to blame
        if self._process is not None:
            self._videos += 1
            return
        pauses = list(PAUSES_SECONDS if self._has_worked else FIRST_PAUSES_SECONDS)
        while (said := self._try_to_start()) is not None:
            if not pauses or self._closed.wait(pauses.pop(0)):
                raise WorkerError(f"a decoding process does not start: {said}")
        self._has_worked = True

    def _try_to_start(self) -> str | None:
        """Start a process. If that fails, return what the process or the system said."""
        with contextlib.ExitStack() as stack:
            try:
                said = stack.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
                self._process = _popen(None if os.environ.get("NLVID_DEBUG") == "1" else said.fileno())
            except OSError as error:
                return shortage(error) or error.strerror or str(error)
            self._videos, self._killed_for = 1, None
            if self._closed.is_set():  # stop() came before there was a process to kill
                self._kill(self._process, "stop")
            try:
                self._tell(self._start | {"caller": os.getpid()})
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
        """Return the next reply; after so many seconds :meth:`enforce` kills the process."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._deadline = time.monotonic() + seconds
        line = self._process.stdout.readline()
        self._deadline = None
        if not line.endswith("\n") or self._closed.is_set():
            raise _Ended
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            self._kill(self._process, "nonsense")
            raise _Ended from None
        return message

    def _fetch(self, shape: tuple[int, ...], dtype: str) -> Pixels | FailureReason:
        """Have the frames written into memory: an anonymous file, or a named one if the process cannot open that."""
        size_bytes = size_of_frames(shape, dtype)
        refusals = []
        for named in (False, True):
            try:
                block = SharedBlock(size_bytes, named)
            except OSError as error:
                refusals.append(shortage(error) or error.strerror or str(error))
                continue
            try:
                reply = self._ask({"into": block.path}, self.limits.timeout_seconds)
                if "error" not in reply:
                    return block.frames(shape, dtype)
                refusals.append(str(reply["error"]["message"]))
            finally:
                block.close()
        self._tell({"into": None})
        return FailureReason("ResourceShortage", f"its frames take {size_bytes / 1e6:.0f} MB: {refusals[0]}")

    def _reason(self, error: dict[str, Any]) -> FailureReason:
        kind, message = str(error["type"]), str(error["message"])
        if kind == "MemoryExceeded" and self.limits.memory_bytes is not None:
            message += f"; --worker-memory limits decoding to {self._memory_limit}"
        return FailureReason(kind, message)

    def _why_ended(self) -> FailureReason:
        why = self._killed_for
        ending = self._clear(ENDING_SECONDS)
        if why == "time":
            return FailureReason(
                "DecodeTimeout",
                f"decoding took more than {self.limits.timeout_seconds:g} s and was stopped (--timeout allows more)",
            )
        if why == "memory":
            return FailureReason(
                "MemoryExceeded",
                f"decoding took more than {self._memory_limit} of memory and was stopped (--worker-memory allows more)",
            )
        if why == "nonsense":
            return FailureReason("DecoderCrashed", "the process that decoded it sent an answer that is not JSON")
        return FailureReason("DecoderCrashed", f"the process that decoded it ended unexpectedly, {ending}")

    @property
    def _memory_limit(self) -> str:
        return f"{(self.limits.memory_bytes or 0) / 2**30:.3g} GiB"

    def _clear(self, patience_seconds: float = 0.0) -> str:
        """Kill the process after giving it time to end by itself; return how it ended."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_seconds)
        self._process.kill()
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # unwritten data has no reader any more
                pipe.close()
        self._process = None
        return _ending(status)


def _popen(stderr: int | None) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", MODULE],  # -P: do not import from the current folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="ascii",
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
            "OPENBLAS_NUM_THREADS": "1",  # decoding multiplies no matrices; idle threads take memory and process slots
        },
        process_group=None if os.name == "nt" else 0,  # Ctrl-C on the terminal must not reach it
    )


def _ending(status: int) -> str:
    if status == -9:
        return "killed (signal 9, as the kernel does when memory runs out)"
    if status < 0:
        return f"by signal {-status} ({signal.Signals(-status).name})"
    return f"with status {status}"


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process that it shares with no other; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
