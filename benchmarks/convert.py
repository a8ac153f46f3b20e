"""Measure the time and memory of converting a Caffe2 file, against reading and writing its bytes.

    python benchmarks/convert.py [--rounds 7] [--folder DIR] [--tiny]

The file holds random tensors of the ResNet-50 I3D with 5 non-local blocks, and enough of the optimiser's momentum to
make about 210 MB. Conversion takes turns with a plain copy (read, write, fsync) in one process. Memory is the growth of
a child process's peak after its imports, for the conversion and for the copy. ``--tiny`` leaves the momentum out and
converts once.
"""

from __future__ import annotations

import argparse
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import ClassVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nlvid_cli.card.manifest import find_card
from nlvid_cli.models.convert import convert
from nlvid_cli.network.build import build_network

MODEL = "nl-i3d-r50-8x8.fair-k400"
MOMENTUM_BYTES = 68_000_000

PARTS = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}


def caffe2_name(name: str) -> str:
    """The blob for one of nlvid's tensors."""
    layer, _, part = name.rpartition(".")
    if layer.startswith(("stem", "head")):
        return {
            "stem.conv": "conv1_w",
            "stem.norm": f"res_conv1_bn_{PARTS[part]}",
            "head.classifier": f"pred_{part[0]}",
        }[layer]
    stage, place, *units = layer.split(".")
    if units[0] == "nonlocal_block":
        blob = f"nonlocal_conv{stage[3]}_{place}_"
        return blob + (f"bn_{PARTS[part]}" if units[-1] == "norm" else f"{units[1]}_{part[0]}")
    branch = "branch1" if units[0] == "shortcut" else f"branch2{'abc'[int(units[0][-1]) - 1]}"
    return f"{stage}_{place}_{branch}_" + (f"bn_{PARTS[part]}" if units[1] == "norm" else "w")


class Python2Pickler(pickle._Pickler):
    """Writes the bytes of arrays as Python 2 did; Python 3 writes them differently."""

    def _save_byte_string(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[type, Callable[..., None]]] = {**pickle._Pickler.dispatch, bytes: _save_byte_string}


def write_caffe2_file(path: Path, momentum_bytes: int) -> int:
    """Write a checkpoint for :data:`MODEL`, and return its size in bytes."""
    torch.manual_seed(0)
    network = build_network(find_card(MODEL))
    blobs = {caffe2_name(name): tensor.numpy() for name, tensor in network.state_dict().items() if tensor.ndim}
    momentum = 0
    for name, blob in list(blobs.items()):
        if momentum < momentum_bytes:
            blobs[f"{name}_momentum"] = blob.copy()
            momentum += blob.nbytes
    blobs["lr"] = np.float32(1e-4).reshape(1)
    with path.open("wb") as file:
        Python2Pickler(file, protocol=2).dump({"blobs": blobs})
    return path.stat().st_size


def copy_bytes(source: Path, target: Path) -> None:
    """Copy a file and wait until it is on the disk."""
    data = source.read_bytes()
    with target.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def convert_file(source: Path, target: Path) -> None:
    convert(source, find_card(MODEL), target)


TASKS = {"read, write, fsync": copy_bytes, "convert": convert_file}


def peak_growth_bytes(task: str, source: Path, target: Path) -> int:
    """Growth of the peak memory of a child process that does the task."""
    command = [sys.executable, __file__, "--task", task, "--folder", str(source.parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    target.unlink()
    return int(done.stdout)


def measure_growth(task: str, folder: Path) -> None:
    """Do a task and print the growth of the peak; this is the child process of :func:`peak_growth_bytes`."""
    before = peak_bytes()
    TASKS[task](folder / "source.pkl", folder / "target.safetensors")
    print(peak_bytes() - before)


def peak_bytes() -> int:
    """Peak resident memory of this process. ``getrusage`` would include its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def compare(folder: Path, rounds: int, momentum_bytes: int) -> None:
    source, target = folder / "source.pkl", folder / "target.safetensors"
    size = write_caffe2_file(source, momentum_bytes)
    seconds: dict[str, list[float]] = {task: [] for task in TASKS}
    for _ in range(rounds):
        for name, task in TASKS.items():
            started = time.perf_counter()
            task(source, target)
            seconds[name].append(time.perf_counter() - started)
            target.unlink()
    plain = seconds["read, write, fsync"]
    table = Table(title=f"a Caffe2 file of {size / 1e6:.0f} MB")
    for column in ("", "seconds", "times reading and writing (median, range)", "peak memory, times the file"):
        table.add_column(column, justify="right" if column else "left")
    for name, times in seconds.items():
        ratios = [t / p for t, p in zip(times, plain, strict=True)]
        growth = peak_growth_bytes(name, source, target) / size
        span = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        table.add_row(name, f"{median(times):.3f}", span, f"{growth:.2f}")
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="Folder for the temporary files.")
    parser.add_argument("--tiny", action="store_true", help="Convert a smaller file once.")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        measure_growth(arguments.task, arguments.folder)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.tiny:
            compare(Path(folder), rounds=1, momentum_bytes=0)
        else:
            compare(Path(folder), arguments.rounds, MOMENTUM_BYTES)


if __name__ == "__main__":
    main()
