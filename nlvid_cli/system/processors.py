"""How many processors this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def usable_processors() -> int:
    """Those that the process may run on, as ``taskset`` and SLURM say; no more than its container has time for.

    A container that may use two of 64 processors sees all 64, and with a thread for each it would stand still most of
    the time (Linux, ``cpu.max`` in https://docs.kernel.org/admin-guide/cgroup-v2.html).
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *map(math.ceil, _quotas())]))


def limit_torch_threads() -> None:
    """Let torch start no more threads than there are processors, unless OMP_NUM_THREADS says how many."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > usable_processors():
        torch.set_num_threads(usable_processors())


def _quotas() -> list[float]:
    """Processors' worth of time that the control groups around this process have, where that is limited."""
    try:
        lines = OWN_GROUP.read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), None)
    if own is None:
        return []
    quotas = []
    for group in (GROUPS / own, *(GROUPS / own).parents):
        with suppress(OSError, ValueError):  # the outermost group has no such file, one without a limit says "max"
            quota, period = map(int, (group / "cpu.max").read_text().split())
            quotas.append(quota / period)
        if group == GROUPS:
            break
    return quotas
