"""ONNX Runtime, on whatever it has a provider for; torch is not needed."""

from __future__ import annotations

import logging
import os
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from nlvid_cli.backends import SCORES_ONLY, Array, Features, Outputs, Precision, Want
from nlvid_cli.backends.attention import attention_rows, require_blocks
from nlvid_cli.backends.providers import GPU, Place, places
from nlvid_cli.card.card import Card
from nlvid_cli.errors import DeviceError, InputShapeError, ModelFileError, UsageError
from nlvid_cli.models.onnx_file.contract import FEATURES, interface_of, keys_name, queries_name
from nlvid_cli.models.onnx_file.read import read_onnx
from nlvid_cli.models.store.cache import compiled_from
from nlvid_cli.system.processors import usable_processors

log = logging.getLogger(__name__)

VIEWS_PER_BATCH = {"cpu": 1, "tensorrt": 10, "cuda": 10, "coreml": 1, "openvino": 1}
"""Views in one run. On a CPU more of them only take more memory."""

ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(kind for kind in vars(ort_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
"""What ONNX Runtime raises; its own errors have no parent in common."""

OUT_OF_MEMORY = (
    "out of memory", "failed to allocate memory", "alloc_failed", "allocation_failed", "bad_alloc", "bad allocation",
)  # fmt: skip

BRIEF = 300
"""Letters that are told of an error; the reason stands at its end."""

FATAL = 4
"""ONNX Runtime's level of log messages at which it says nothing; what matters is said by nlvid."""


class OnnxBackend:
    """A graph of an ONNX file.

    Args:
        card: of the model.
        path: of the file; it is looked through before ONNX Runtime gets it.
        device: ``auto`` (the first provider that starts, GPUs first) or a name of ``providers.PROVIDERS``.
        precision: ``auto``, or the one that the file has.

    Raises:
        DeviceError: the device is not there or does not start, or the file computes in another precision.
        ModelError: the file is not one that can be run.
    """

    name = "onnx"

    def __init__(self, card: Card, path: Path, device: str, precision: Precision) -> None:
        self._card, self._where = card, str(path)
        self._interface = interface_of(read_onnx(path), card, self._where)
        self.precision = self._interface.precision
        if precision not in ("auto", self.precision):
            raise DeviceError(
                f"{path}: computes in {self.precision}, which is fixed in the file; leave --precision {precision} out, "
                "or export the model in another precision"
            )
        self._session, self._place = _start(path, places(device), strict=device != "auto")
        self.device = str(self._place)
        self.views_per_batch = self._interface.batch or VIEWS_PER_BATCH[self._place.device]

    @property
    def takes_any_size(self) -> bool:
        """Whether frames, height and width are free."""
        return (self._interface.frames, *self._interface.size) == (None,) * 3

    def outputs(self, views: Array, want: Want = SCORES_ONLY) -> Outputs:
        """Run the network; see :meth:`Backend.outputs`.

        If a file has softmax scores and no logits, the logits are right up to a constant of each view.
        """
        self._require_fit(views)
        self._require_outputs(want)
        results: list[Outputs] = []
        start = 0
        while start < len(views):
            batch = views[start : start + self.views_per_batch]
            try:
                results.append(self._forward(batch, want))
            except ERRORS as error:
                self._make_smaller(batch, error)
                continue
            start += len(batch)
        return Outputs.join(results)

    def _forward(self, batch: Array, want: Want) -> Outputs:
        given = as_input(batch, self._interface.kind, self._card)
        missing = (self._interface.batch or len(given)) - len(given)
        if missing:  # the graph takes more views than there are: repeat the last one
            given = np.concatenate([given, np.repeat(given[-1:], missing, axis=0)])
        names = [name for name in (self._interface.logits, self._interface.scores) if name is not None]
        names += [FEATURES] * want.features
        names += [port for block in want.attention for port in (queries_name(block), keys_name(block))]
        run = self._run_bound if self._place.device in GPU else self._run
        results = [result[: len(batch)].astype(np.float32, copy=False) for result in run(given, names)]
        return self._outputs(dict(zip(names, results, strict=True)), want, len(batch))

    def _outputs(self, found: dict[str, Array], want: Want, views: int) -> Outputs:
        """Outputs from the values of the graph, by their names."""
        several = self._card.labels.kind == "multi"
        logits, scores = (
            None if name is None else self._checked(name, found[name], views)
            for name in (self._interface.logits, self._interface.scores)
        )
        if logits is None:
            assert scores is not None
            logits = _logits_of(scores, several)
        for name in found.keys() - {self._interface.logits, self._interface.scores}:
            if found[name].ndim != 5 or len(found[name]) != views:
                raise ModelFileError(f"{self._where}: its output {name!r} is not a map of {views} views")
        return Outputs(
            logits,
            _scores_of(logits, several) if scores is None else scores,
            Features(found[FEATURES], found[FEATURES].mean(axis=(2, 3, 4))) if want.features else None,
            {
                block: attention_rows(found[queries_name(block)], found[keys_name(block)], self._card, block, positions)
                for block, positions in want.attention.items()
            }
            or None,
        )

    def _checked(self, name: str, result: Array, views: int) -> Array:
        wanted = (views, self._card.labels.count)
        if result.shape != wanted:
            raise ModelFileError(
                f"{self._where}: its output {name!r} has the shape {result.shape} for {views} views, and not {wanted}"
            )
        return result

    def _require_outputs(self, want: Want) -> None:
        require_blocks(self._card, want.attention)
        missing = [block for block in want.attention if block not in self._interface.blocks]
        if missing or (want.features and not self._interface.features):
            wanted = f"the attention of {', '.join(missing)}" if missing else "features"
            raise UsageError(f"{self._where}: the file does not give {wanted}; export it again with --features")

    def _run(self, given: np.ndarray[Any, Any], names: list[str]) -> list[np.ndarray[Any, Any]]:
        results: list[np.ndarray[Any, Any]] = self._session.run(names, {self._interface.input: given})
        return results

    def _run_bound(self, given: np.ndarray[Any, Any], names: list[str]) -> list[np.ndarray[Any, Any]]:
        """Run with input and outputs bound to memory, so that each crosses to or from the GPU once."""
        binding = self._session.io_binding()
        on_gpu = onnxruntime.OrtValue.ortvalue_from_numpy(given, "cuda", self._place.index)
        binding.bind_ortvalue_input(self._interface.input, on_gpu)
        for name in names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        results: list[np.ndarray[Any, Any]] = binding.copy_outputs_to_cpu()
        return results

    def _make_smaller(self, batch: Array, error: Exception) -> None:
        """Go on with half as many views if memory ran out; any other error ends it."""
        if not any(sign in str(error).lower() for sign in OUT_OF_MEMORY):
            raise InputShapeError(
                f"{self._where}: ONNX Runtime cannot compute clips of shape {batch.shape[1:]} with it ({_brief(error)})"
            ) from None
        if len(batch) == 1 or self._interface.batch is not None:
            views = "1 view" if len(batch) == 1 else f"{len(batch)} views"
            advice = "take a smaller model" if self.device == "cpu" else "use --device cpu"
            raise DeviceError(
                f"{self.device}: not enough memory for {views} of shape {batch.shape[1:]}; {advice}"
            ) from None
        self.views_per_batch = len(batch) // 2
        log.warning("%s ran out of memory; going on with %d views at a time", self.device, len(batch) // 2)

    def _require_fit(self, clips: Array) -> None:
        wanted = (self._interface.frames, *self._interface.size)
        if any(fixed not in (None, given) for fixed, given in zip(wanted, clips.shape[2:], strict=True)):
            raise InputShapeError(
                f"{self._where}: takes clips of {' x '.join(str(n or 'any') for n in wanted)} (T x H x W), which is "
                f"fixed in the file, not {' x '.join(map(str, clips.shape[2:]))}; export it without --static"
            )


def _scores_of(logits: Array, several: bool) -> Array:
    """Sigmoid or softmax, where a file leaves it out."""
    wide = logits.astype(np.float64)
    if several:
        return np.exp(-np.logaddexp(0, -wide)).astype(np.float32)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    scores: Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return scores


def _logits_of(scores: Array, several: bool) -> Array:
    """What softmax (up to a constant of each view) or sigmoid was taken of, where a file puts out nothing else."""
    wide = np.maximum(scores.astype(np.float64), np.finfo(np.float32).tiny)
    logits = np.log(wide)
    if several:
        logits -= np.log1p(-np.minimum(wide, np.nextafter(np.float32(1), np.float32(0))))
    return logits.astype(np.float32)


def as_input(clips: Array, kind: str, card: Card) -> np.ndarray[Any, Any]:
    """Normalised clips (N, 3, T, H, W) in the form that a graph takes, with elements of that kind.

    A graph that normalises by itself takes the pixels back, (N, T, H, W, 3): they were whole numbers, and rounding
    gives these exactly (with fractions, as the card's resizing may give, the nearest ones).
    """
    if kind != "uint8":
        return np.ascontiguousarray(clips, dtype=kind)
    mean, std = np.array(card.preprocess.mean, np.float32), np.array(card.preprocess.std, np.float32)
    pixels = clips.transpose(0, 2, 3, 4, 1) * std + mean  # (N, 3, T, H, W) -> (N, T, H, W, 3)
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _start(path: Path, candidates: list[Place], strict: bool) -> tuple[onnxruntime.InferenceSession, Place]:
    """A session on the first place that starts; those that do not are told of.

    Raises:
        DeviceError: none does.
        ModelFileError: ONNX Runtime finds the file at fault.
    """
    onnxruntime.set_default_logger_severity(FATAL)
    for place in candidates:
        try:
            session = _session(path, place)
        except ERRORS as error:
            if place.device == "cpu":
                raise ModelFileError(f"{path}: ONNX Runtime cannot load it ({_brief(error)})") from None
            reason = _brief(error)
        else:
            if session.get_providers()[0] == place.provider:
                return session, place
            reason = "ONNX Runtime went on without it; its libraries are missing or do not fit the driver"
        if strict:
            raise DeviceError(f"device {str(place)!r} does not start: {reason}; `nlvid doctor` lists what is here")
        log.warning("device %s does not start: %s; going on without it", place, reason)
    raise DeviceError("ONNX Runtime has no device here, not even the CPU; install onnxruntime again")


def _session(path: Path, place: Place) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = threads()
    # Waiting threads sleep: the next video is decoded meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if place.device == "cpu":
        return onnxruntime.InferenceSession(_for_runtime(path), options, [place.provider])
    cache = _room_for_compiled(path) if place.compiles else None
    with redirect_stdout(StringIO()):  # it prints, and stdout is for results
        if place.device in GPU:
            onnxruntime.preload_dlls()  # CUDA's libraries, where pip put them for torch
        providers = [(place.provider, place.options(cache)), "CPUExecutionProvider"]
        return onnxruntime.InferenceSession(_for_runtime(path), options, providers, enable_fallback=0)


def _for_runtime(path: Path) -> str | bytes:
    """The name of a file, or its content, which takes as much memory more, where the name is not UTF-8."""
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return name


def _room_for_compiled(path: Path) -> Path | None:
    """The folder of the cache for what is compiled from a file; None where it cannot be made."""
    try:
        folder = compiled_from(path)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("what is compiled for %s cannot be kept (%s)", path, error.strerror or error)
        return None
    return folder


def threads() -> int:
    """``OMP_NUM_THREADS``, which torch follows too; 0 (ONNX Runtime's choice, a thread per core) where it is not set.

    Where the process may use some of the processors only, their number.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return 0 if usable_processors() == os.cpu_count() else usable_processors()


def _brief(error: Exception) -> str:
    """The last line of what ONNX Runtime says, without the places in its source; it may repeat names of the file."""
    line = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    line = re.sub(r"/onnxruntime_src/.*?\) ", "", line.rpartition(" : ")[2])
    line = "".join(character if character.isprintable() else "\ufffd" for character in line)
    return line if len(line) <= BRIEF else f"...{line[-BRIEF:]}"
