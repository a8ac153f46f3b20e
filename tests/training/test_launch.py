"""Signals to the launcher of several processes, and its exit status."""

from __future__ import annotations

import signal
import sys

import pytest

from nlvid_cli.training.launch import wait_for

READY = (
    "time.sleep(0.5); signal.signal(signal.SIGINT, lambda *_: sys.exit(1)); "
    "os.kill(os.getppid(), signal.{}); time.sleep(60)"
)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        (READY.format("SIGTERM"), 130),
        (READY.format("SIGINT"), 130),
        (READY.format("SIGHUP"), 130),
        ("os.kill(os.getpid(), signal.SIGTERM); sys.exit(4)", 4),  # ignored
    ],
)
def test_signals_are_passed_on_and_become_exit_statuses(script: str, status: int) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    assert wait_for([sys.executable, "-c", f"import os, signal, sys, time; {script}"]) == status
    assert [signal.getsignal(number) for number in numbers] == before
