"""Sessions of ONNX Runtime, on the first device that starts, and what its errors say."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from nlvid_cli.backends.providers import GPU, OnnxDevice
from nlvid_cli.errors import DeviceError, ModelFileError
from nlvid_cli.models.store.cache import compiled_from
from nlvid_cli.system.processors import usable_processors

log = logging.getLogger(__name__)

ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(kind for kind in vars(ort_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
"""Everything that ONNX Runtime raises. Its own errors have no base class in common."""

OUT_OF_MEMORY = (
    "out of memory", "failed to allocate memory", "alloc_failed", "allocation_failed", "bad_alloc", "bad allocation",
)  # fmt: skip
"""Parts of the messages of those errors that mean too little memory."""

REASON_LETTERS = 300
"""Most letters to repeat of an error. The reason is at its end."""

FATAL = 4
"""ONNX Runtime's log level at which it prints nothing; nlvid reports what matters."""


def start_session(
    path: Path, candidates: Sequence[OnnxDevice], strict: bool
) -> tuple[onnxruntime.InferenceSession, OnnxDevice]:
    """Start a session on the first device that works.

    Args:
        path: The ONNX file.
        candidates: Devices in order of preference.
        strict: Whether the first one must work. Otherwise, warn of each that does not.

    Raises:
        DeviceError: No device works.
        ModelFileError: ONNX Runtime cannot load the file.
    """
    onnxruntime.set_default_logger_severity(FATAL)
    for device in candidates:
        try:
            session = _session(path, device)
        except ERRORS as error:
            if device.name == "cpu":
                raise ModelFileError(f"{path}: ONNX Runtime cannot load it ({reason_of(error)})") from None
            reason = reason_of(error)
        else:
            if session.get_providers()[0] == device.provider:
                return session, device
            reason = "ONNX Runtime went on without it; its libraries are missing or do not fit the driver"
        if strict:
            raise DeviceError(
                f"device {str(device)!r} does not start: {reason}; `nlvid doctor` lists what is available"
            )
        log.warning("device %s does not start: %s; going on without it", device, reason)
    raise DeviceError("ONNX Runtime has no device here, not even the CPU; install onnxruntime again")


def _session(path: Path, device: OnnxDevice) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = threads()
    # waiting threads must sleep: the next video is decoded meanwhile
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device.name == "cpu":
        return onnxruntime.InferenceSession(_name_or_content(path), options, [device.provider])
    cache = _cache_for_compiled(path) if device.compiles else None
    with redirect_stdout(StringIO()):  # it prints, and stdout is for results
        if device.name in GPU:
            onnxruntime.preload_dlls()  # CUDA's libraries, where pip put them for torch
        providers = [(device.provider, device.options(cache)), "CPUExecutionProvider"]
        return onnxruntime.InferenceSession(_name_or_content(path), options, providers, enable_fallback=0)


def _name_or_content(path: Path) -> str | bytes:
    """Name of a file, or its content (which costs memory) if the name is not UTF-8."""
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return name


def _cache_for_compiled(path: Path) -> Path | None:
    """Make the cache folder for what is compiled from a file; None if that fails."""
    try:
        folder = compiled_from(path)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("what is compiled for %s cannot be cached (%s)", path, error.strerror or error)
        return None
    return folder


def threads() -> int:
    """Number of threads: ``OMP_NUM_THREADS``, as for torch, else 0 for ONNX Runtime's choice, a thread per core.

    If the process may use only some of the processors, it is their number.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return 0 if usable_processors() == os.cpu_count() else usable_processors()


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of ONNX Runtime means too little memory."""
    return any(sign in str(error).lower() for sign in OUT_OF_MEMORY)


def reason_of(error: Exception) -> str:
    """Return the last line of an error of ONNX Runtime, without places in its source."""
    line = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    line = re.sub(r"/onnxruntime_src/.*?\) ", "", line.rpartition(" : ")[2])
    return line if len(line) <= REASON_LETTERS else f"...{line[-REASON_LETTERS:]}"
