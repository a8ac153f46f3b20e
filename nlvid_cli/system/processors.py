"""Number of processors that this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def usable_processors() -> int:
    """Return the number of processors set by ``taskset`` or SLURM, within the quota of the container.

    A container with a quota of two processors sees all 64 of its machine. With a thread for each, it would be throttled
    most of the time (Linux, ``cpu.max`` in https://docs.kernel.org/admin-guide/cgroup-v2.html).
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *map(math.ceil, _quotas())]))


def limit_torch_threads() -> None:
    """Let torch use no more threads than there are processors, unless OMP_NUM_THREADS is set."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > usable_processors():
        torch.set_num_threads(usable_processors())


def _quotas() -> list[float]:
    """Return the quotas of the control groups around this process, in processors."""
    try:
        lines = OWN_GROUP.read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), None)
    if own is None:
        return []
    quotas = []
    for group in (GROUPS / own, *(GROUPS / own).parents):
        with suppress(OSError, ValueError):  # the outermost group has no such file; without a limit it holds "max"
            quota, period = map(int, (group / "cpu.max").read_text().split())
            quotas.append(quota / period)
        if group == GROUPS:
            break
    return quotas
