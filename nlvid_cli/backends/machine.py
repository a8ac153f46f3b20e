"""Processor, GPUs and installed runtimes of this machine, without importing torch or ONNX Runtime."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nlvid_cli.system.processors import usable_processors

RUNTIMES = {"torch": ("torch",), "onnx": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")}
"""Packages that may provide the runtime of a backend, by its name."""


def describe_machine() -> list[str]:
    """List processor, number of usable processors, number of threads asked for, and GPUs."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return [platform.machine(), _processor(), str(usable_processors()), threads, *gpu_names()]


def runtime_version(backend: str) -> str | None:
    """Return package and version of the runtime of a backend, or None if it is not installed."""
    for package in RUNTIMES[backend]:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return None


@lru_cache(maxsize=1)
def gpu_names() -> tuple[str, ...]:
    """Ask NVIDIA's driver for the names of the GPUs (cuInit, cuDeviceGet, cuDeviceGetName)."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    names = []
    for index in range(count.value):
        device, name = ctypes.c_int(0), ctypes.create_string_buffer(100)
        driver.cuDeviceGet(ctypes.byref(device), index)
        driver.cuDeviceGetName(name, len(name), device)
        names.append(name.value.decode(errors="replace"))
    return tuple(names)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
