"""Ctrl-C that is never lost, Ctrl-C that finishes the work in progress, and SIGTERM that acts like Ctrl-C.

Python raises KeyboardInterrupt wherever the main thread is. In a callback from C code, the exception may be dropped,
and a long run would continue.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupts:
    """Context manager that remembers an interrupt until :meth:`check` is called.

    It does nothing outside the main thread, where Python allows no signal handlers.
    """

    def __init__(self) -> None:
        self._seen = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was an interrupt, even one that was dropped."""
        if self._seen:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._seen = True
        signal.default_int_handler(number, frame)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM act like Ctrl-C, so that unfinished files are cleaned up.

    This also works where Ctrl-C is ignored, as in the background of a script. Outside the main thread it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class GentleInterrupt:
    """Context manager in which the first Ctrl-C or SIGTERM only asks for an end; the second acts as usual.

    Clusters send SIGTERM when they take a machine back. Outside the main thread it does nothing.

    Args:
        tell: Called at the first signal.

    Attributes:
        wanted: Whether there was a signal.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self.wanted = False
        self._tell = tell
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        if "LOCAL_RANK" not in os.environ:  # a launcher forwards the signal to each process, which so gets it twice
            self._restore()
        self._tell()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
