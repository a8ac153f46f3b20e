from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from nlvid_cli.system.interrupts import GentleInterrupt, Interrupts, sigterm_as_ctrl_c


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_one_is_a_wish_and_the_second_acts_as_ever(number: signal.Signals) -> None:
    told: list[bool] = []
    acted: list[int] = []
    before = signal.signal(number, lambda number, _: acted.append(number))
    try:
        with GentleInterrupt(lambda: told.append(True)) as interrupt:
            assert not interrupt.wanted
            signal.raise_signal(number)
            assert (interrupt.wanted, told, acted) == (True, [True], [])
            signal.raise_signal(number)
            assert (told, acted) == ([True], [number])
        signal.raise_signal(number)
        assert acted == [number, number]
    finally:
        signal.signal(number, before)


def test_a_launcher_that_sends_it_twice_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    before = signal.getsignal(signal.SIGTERM)
    with GentleInterrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.wanted
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_is_an_interrupt_also_where_ctrl_c_is_ignored(ctrl_c: Any) -> None:
    before = signal.signal(signal.SIGINT, ctrl_c)
    try:
        with pytest.raises(KeyboardInterrupt), sigterm_as_ctrl_c():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
