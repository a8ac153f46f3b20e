from __future__ import annotations

import signal
import threading

import pytest

from nlvid_cli.commands.interrupts import Interrupts


def test_an_interrupt_that_was_dropped_is_raised_at_the_next_check() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        interrupts.check()
        with pytest.raises(KeyboardInterrupt):  # as C code would drop it
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_in_other_threads_it_does_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)

    def enter() -> None:
        with Interrupts() as interrupts:
            interrupts.check()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
