"""``nlvid train --gpus``: run the command line in one process per GPU, with torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from nlvid_cli.errors import UsageError

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM."""


def is_launched() -> bool:
    """Whether torchrun or accelerate started this process."""
    return "LOCAL_RANK" in os.environ


def launch(gpus: int) -> int:
    """Run this command line in one process per GPU, and return the exit status.

    Raises:
        UsageError: The machine has fewer GPUs.
    """
    import torch

    available = torch.cuda.device_count()
    if gpus > available:
        raise UsageError(f"--gpus {gpus}: this machine has {available}; list them with `nlvid doctor`")
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}")
    return wait_for([sys.executable, *launcher, "-m", "nlvid_cli", *sys.argv[1:]])


def wait_for(command: Sequence[str]) -> int:
    """Run a launcher to its end, pass on signals to it, and return the exit status.

    torchrun stops waiting for its processes when a second signal comes. Clusters and systemd send SIGTERM to all
    processes at once, so the launcher ignores SIGTERM. Instead, it gets one interrupt from here for any signal. It runs
    in its own session, so that Ctrl-C in the terminal does not reach it, too.
    """
    safe = os.environ | {
        "PYTHONSAFEPATH": "1",  # do not import modules from the current folder
        "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGINT,SIGHUP,SIGQUIT",
    }
    process: subprocess.Popen[bytes] | None = None
    interrupted = False

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        if process is not None:
            process.send_signal(signal.SIGINT)

    # nohup and scripts make their children ignore these signals; leave it so
    not_ignored = [one for one in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    previous = {number: signal.signal(number, pass_on) for number in not_ignored}
    previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher inherits this
    try:
        process = subprocess.Popen(command, env=safe, start_new_session=True)  # noqa: S603
        signal.signal(signal.SIGTERM, pass_on)
        if interrupted:  # while the launcher was starting
            process.send_signal(signal.SIGINT)
        status = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if interrupted and status:
        return INTERRUPTED
    return status if status >= 0 else 128 - status  # as shells report a process that a signal ended
