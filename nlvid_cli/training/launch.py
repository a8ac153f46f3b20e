"""``nlvid train --gpus``: the same command line in a process for each GPU, by torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from nlvid_cli.errors import UsageError

INTERRUPTED = 130


def is_launched() -> bool:
    """Whether this is one of several processes that torchrun or accelerate started."""
    return "LOCAL_RANK" in os.environ


def launch(gpus: int) -> int:
    """Run this command line once for each GPU; returns the exit status.

    Raises:
        UsageError: there are not so many.
    """
    import torch

    there = torch.cuda.device_count()
    if gpus > there:
        raise UsageError(f"--gpus {gpus}: this machine has {there}; `nlvid doctor` lists them")
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}")
    return wait_for([sys.executable, *launcher, "-m", "nlvid_cli", *sys.argv[1:]])


def wait_for(command: Sequence[str]) -> int:
    """Run a launcher to its end, hand on to it what would end this process, and return the exit status.

    A second signal makes torchrun give up waiting for its processes. Clusters and systemd send SIGTERM to all processes
    at once, and so the launcher is to ignore it and gets an interrupt, once, from here, whatever came. In a session of
    its own it gets no Ctrl-C from the terminal.
    """
    safe = os.environ | {
        "PYTHONSAFEPATH": "1",  # or modules that lie in the current folder would be run
        "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGINT,SIGHUP,SIGQUIT",
    }
    process: subprocess.Popen[bytes] | None = None
    interrupted = False

    def hand_on(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        if process is not None:
            process.send_signal(signal.SIGINT)

    heeded = [one for one in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]  # as by nohup
    previous = {number: signal.signal(number, hand_on) for number in heeded}
    previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # handed down to the launcher
    try:
        process = subprocess.Popen(command, env=safe, start_new_session=True)  # noqa: S603
        signal.signal(signal.SIGTERM, hand_on)
        if interrupted:  # it came while the launcher was started
            process.send_signal(signal.SIGINT)
        status = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if interrupted and status:
        return INTERRUPTED
    return status if status >= 0 else 128 - status  # as shells tell of a process that a signal ended
