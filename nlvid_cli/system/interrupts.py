"""Ctrl-C that cannot get lost, Ctrl-C that lets what is begun be finished, and SIGTERM that is like Ctrl-C.

Python raises KeyboardInterrupt wherever the main thread happens to be. Where that is a callback that C code has made,
the exception may be dropped there, and a long run would go on as if nothing had been said.
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
    """While it is entered, remembers an interrupt until somebody asks.

    Outside the main thread, where Python allows no handlers, it does nothing.
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
        """Raise KeyboardInterrupt if there was one, also one that got lost."""
        if self._seen:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._seen = True
        signal.default_int_handler(number, frame)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """While it is entered, SIGTERM does what Ctrl-C does, so that what is half done is cleaned away.

    Also where Ctrl-C itself is ignored, as in the background of a script. Outside the main thread it does nothing.
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
    """While it is entered, the first Ctrl-C or SIGTERM is a wish to come to an end; the second acts as ever.

    SIGTERM is how clusters take machines back. Outside the main thread it does nothing.

    Args:
        tell: is called at the first one.

    Attributes:
        wanted: whether there was one.
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
        if "LOCAL_RANK" not in os.environ:  # a launcher sends the signal on to each process, and so a second time
            self._restore()
        self._tell()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
