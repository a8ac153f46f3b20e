"""ONNX Runtime's execution providers: which of them run here, in order of preference, and with what options."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from nlvid_cli.backends.machine import gpu_names
from nlvid_cli.errors import DeviceError

PROVIDERS: dict[str, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""By nlvid's name for the device; the preferred ones first."""

ALIASES = {"mps": "coreml"}
"""What torch calls a device that a provider has."""

GPU = ("tensorrt", "cuda")

CACHE_OPTIONS = {"coreml": "ModelCacheDirectory", "openvino": "cache_dir"}
"""Providers that take a folder for what they compile, and the option that names it."""


@dataclass(frozen=True)
class Place:
    """Where a graph shall run: a key of :data:`PROVIDERS`, and which of several GPUs."""

    device: str
    index: int = 0

    def __str__(self) -> str:
        """The name for ``--device`` and in results."""
        return f"{self.device}:{self.index}" if self.device in GPU else self.device

    @property
    def provider(self) -> str:
        """ONNX Runtime's name of it."""
        return PROVIDERS[self.device]

    @property
    def compiles(self) -> bool:
        """Whether it makes something of a graph that takes long and can be kept."""
        return self.device == "tensorrt" or self.device in CACHE_OPTIONS

    def options(self, cache: Path | None) -> dict[str, str]:
        """Options of the provider; what it compiles is kept in the folder ``cache``, if there is one.

        On CPUs nothing is kept: loading an optimised graph saves less than a tenth of a second.
        """
        if self.device == "tensorrt":
            kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache), "trt_timing_cache_enable": "1"}
            return {"device_id": str(self.index)} | (kept if cache is not None else {})
        if self.device == "cuda":
            # fp32 means fp32: TF32 rounds to 10 bits
            return {"device_id": str(self.index), "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
        key = CACHE_OPTIONS.get(self.device)
        return {} if key is None or cache is None else {key: str(cache)}


def places(device: str) -> list[Place]:
    """Where to try to run, in this order.

    Args:
        device: ``auto``, or a name of :data:`PROVIDERS`, with a number for GPUs (``cuda:1``); ``mps`` is CoreML.

    Raises:
        DeviceError: there is no such device, or this ONNX Runtime has no provider for it.
    """
    built_in = onnxruntime.get_available_providers()
    if device == "auto":
        here = [name for name, provider in PROVIDERS.items() if provider in built_in and _has_hardware(name)]
        return [Place(name) for name in here]
    name, _, index = device.partition(":")
    name = ALIASES.get(name, name)
    if name not in PROVIDERS or (index and not (index.isdecimal() and name in GPU)):
        raise DeviceError(f"no such device: {device!r}; ONNX Runtime has auto, {', '.join(PROVIDERS)}, and cuda:1")
    if PROVIDERS[name] not in built_in:
        package = {"openvino": "onnxruntime-openvino", "coreml": "onnxruntime on a Mac"}.get(name, "onnxruntime-gpu")
        raise DeviceError(f"device {device!r}: the ONNX Runtime that is installed cannot use it; it takes {package}")
    return [Place(name, int(index or 0))]


def _has_hardware(device: str) -> bool:
    """Whether it is worth trying: a GPU build of ONNX Runtime is the usual one on machines without a GPU too."""
    if device in GPU and not gpu_names():
        return False
    if device == "tensorrt":
        return _loads("nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10")
    return True


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
