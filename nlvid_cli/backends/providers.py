"""ONNX Runtime's execution providers: which of them run here, in order of preference, and with which options."""

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
"""Provider by nlvid's name for the device, in order of preference."""

ALIASES = {"mps": "coreml"}
"""torch's name for a device that a provider has."""

GPU = ("tensorrt", "cuda")

CACHE_OPTIONS = {"coreml": "ModelCacheDirectory", "openvino": "cache_dir"}
"""Option that names the folder for compiled models, by device."""


@dataclass(frozen=True)
class OnnxDevice:
    """A device of ONNX Runtime.

    Attributes:
        name: A key of :data:`PROVIDERS`.
        index: Which of several GPUs.
    """

    name: str
    index: int = 0

    def __str__(self) -> str:
        """Name for ``--device`` and in results, such as ``cuda:0``."""
        return f"{self.name}:{self.index}" if self.name in GPU else self.name

    @property
    def provider(self) -> str:
        """ONNX Runtime's name."""
        return PROVIDERS[self.name]

    @property
    def compiles(self) -> bool:
        """Whether the provider compiles a graph, slowly, into something that can be cached."""
        # on CPUs nothing is cached: loading an optimised graph saves less than a tenth of a second
        return self.name == "tensorrt" or self.name in CACHE_OPTIONS

    def options(self, cache: Path | None) -> dict[str, str]:
        """Options of the provider, which caches what it compiles in the folder ``cache``, if any."""
        if self.name == "tensorrt":
            kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache), "trt_timing_cache_enable": "1"}
            return {"device_id": str(self.index)} | (kept if cache is not None else {})
        if self.name == "cuda":
            # fp32 means fp32: TF32 rounds to 10 bits
            return {"device_id": str(self.index), "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
        key = CACHE_OPTIONS.get(self.name)
        return {} if key is None or cache is None else {key: str(cache)}


def onnx_devices(device: str) -> list[OnnxDevice]:
    """List the devices to try, in order.

    Args:
        device: ``auto``, or a key of :data:`PROVIDERS`, with a number for GPUs (``cuda:1``); ``mps`` is CoreML.

    Raises:
        DeviceError: There is no such device, or this ONNX Runtime has no provider for it.
    """
    built_in = onnxruntime.get_available_providers()
    if device == "auto":
        here = [name for name, provider in PROVIDERS.items() if provider in built_in and _has_hardware(name)]
        return [OnnxDevice(name) for name in here]
    name, _, index = device.partition(":")
    name = ALIASES.get(name, name)
    if name not in PROVIDERS or (index and not (index.isdecimal() and name in GPU)):
        raise DeviceError(f"no such device: {device!r}; ONNX Runtime has auto, {', '.join(PROVIDERS)}, and cuda:1")
    if PROVIDERS[name] not in built_in:
        package = {"openvino": "onnxruntime-openvino", "coreml": "onnxruntime on a Mac"}.get(name, "onnxruntime-gpu")
        raise DeviceError(f"device {device!r}: the installed ONNX Runtime cannot use it; install {package}")
    return [OnnxDevice(name, int(index or 0))]


def _has_hardware(name: str) -> bool:
    """Whether to try a device. Machines without a GPU usually have a GPU build of ONNX Runtime too."""
    if name in GPU and not gpu_names():
        return False
    if name == "tensorrt":
        return _loads("nvinfer_10.dll" if sys.platform == "win32" else "libnvinfer.so.10")
    return True


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
