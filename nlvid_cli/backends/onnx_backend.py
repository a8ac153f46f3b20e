"""ONNX Runtime, on every device that it has a provider for. torch is not needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from nlvid_cli.backends import SCORES_ONLY, Array, Attention, Features, Gradients, Outputs, Precision, Want
from nlvid_cli.backends.attention import attention_rows, require_blocks
from nlvid_cli.backends.onnx_session import ERRORS, is_out_of_memory, reason_of, start_session
from nlvid_cli.backends.providers import GPU, onnx_devices
from nlvid_cli.card.card import Card
from nlvid_cli.errors import DeviceError, InputShapeError, ModelFileError, UsageError
from nlvid_cli.models.onnx_file.contract import FEATURES, interface_of, keys_name, queries_name
from nlvid_cli.models.onnx_file.read import read_onnx
from nlvid_cli.system.arrays import sigmoid, softmax

log = logging.getLogger(__name__)

VIEWS_PER_BATCH = {"cpu": 1, "tensorrt": 10, "cuda": 10, "coreml": 1, "openvino": 1}
"""Number of views in one run, by device. On a CPU more of them only take more memory."""


class OnnxBackend:
    """An ONNX file, ready to run.

    Args:
        card: Card of the model.
        path: The file. It is checked before ONNX Runtime loads it.
        device: ``auto`` (the first that starts, GPUs first) or a key of ``providers.PROVIDERS``.
        precision: ``auto``, or the precision of the file.

    Raises:
        DeviceError: The device is not available or does not start, or the file has another precision.
        ModelError: The file cannot be run.
    """

    name = "onnx"

    def __init__(self, card: Card, path: Path, device: str, precision: Precision) -> None:
        self._card, self._where = card, str(path)
        self._interface = interface_of(read_onnx(path), card, self._where)
        self.precision = self._interface.precision
        if precision not in ("auto", self.precision):
            raise DeviceError(
                f"{path}: the file computes in {self.precision}; leave out --precision {precision}, or export the "
                "model in another precision"
            )
        self._session, self._device = start_session(path, onnx_devices(device), strict=device != "auto")
        self.device = str(self._device)
        self.views_per_batch = self._interface.batch or VIEWS_PER_BATCH[self._device.name]

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

    def gradients(self, view: Array, label: int, blocks: Sequence[str] = ()) -> Gradients:
        """Raise UsageError: ONNX Runtime computes no gradients."""
        raise UsageError(
            f"{self._where}: ONNX Runtime computes no gradients, which explanations need; use the .safetensors file of "
            "the model, with --backend torch"
        )

    def _forward(self, batch: Array, want: Want) -> Outputs:
        given = as_input(batch, self._interface.kind, self._card)
        missing = (self._interface.batch or len(given)) - len(given)
        if missing:  # the graph takes more views than there are: repeat the last one
            given = np.concatenate([given, np.repeat(given[-1:], missing, axis=0)])
        names = [name for name in (self._interface.logits, self._interface.scores) if name is not None]
        names += [FEATURES] * want.features
        names += [name for block in want.attention for name in (queries_name(block), keys_name(block))]
        run = self._run_bound if self._device.name in GPU else self._run
        found = {
            name: np.atleast_1d(result)[: len(batch)].astype(np.float32, copy=False)
            for name, result in zip(names, run(given, names), strict=True)
        }
        logits, scores = self._logits_and_scores(found, len(batch))
        return Outputs(
            logits,
            scores,
            self._features(found, len(batch)) if want.features else None,
            self._attention(found, want, len(batch)) if want.attention else None,
        )

    def _logits_and_scores(self, found: dict[str, Array], views: int) -> tuple[Array, Array]:
        several = self._card.labels.kind == "multi"
        for name in (self._interface.logits, self._interface.scores):
            wanted = (views, self._card.labels.count)
            if name is not None and found[name].shape != wanted:
                raise ModelFileError(
                    f"{self._where}: for {views} views, its output {name!r} has the shape {found[name].shape} instead "
                    f"of {wanted}"
                )
        if self._interface.logits is None:
            scores = found[str(self._interface.scores)]
            return _logits_of(scores, several), scores
        logits = found[self._interface.logits]
        return logits, _scores_of(logits, several) if self._interface.scores is None else found[self._interface.scores]

    def _features(self, found: dict[str, Array], views: int) -> Features:
        last_map = self._map(found, FEATURES, views)
        return Features(last_map, last_map.mean(axis=(2, 3, 4)))

    def _attention(self, found: dict[str, Array], want: Want, views: int) -> dict[str, Attention]:
        rows = {}
        for block, positions in want.attention.items():
            queries, keys = (self._map(found, name, views) for name in (queries_name(block), keys_name(block)))
            rows[block] = attention_rows(queries, keys, self._card, block, positions)
        return rows

    def _map(self, found: dict[str, Array], name: str, views: int) -> Array:
        if found[name].ndim != 5 or len(found[name]) != views:
            raise ModelFileError(
                f"{self._where}: for {views} views, its output {name!r} has the shape {found[name].shape}; "
                f"({views}, channels, T, H, W) is needed"
            )
        return found[name]

    def _require_outputs(self, want: Want) -> None:
        require_blocks(self._card, want.attention)
        missing = [block for block in want.attention if block not in self._interface.blocks]
        if missing or (want.features and not self._interface.features):
            wanted = f"the attention of {', '.join(missing)}" if missing else "features"
            raise UsageError(f"{self._where}: the file does not return {wanted}; export it again with --features")

    def _run(self, given: np.ndarray[Any, Any], names: list[str]) -> list[np.ndarray[Any, Any]]:
        results: list[np.ndarray[Any, Any]] = self._session.run(names, {self._interface.input: given})
        return results

    def _run_bound(self, given: np.ndarray[Any, Any], names: list[str]) -> list[np.ndarray[Any, Any]]:
        """Run with input and outputs bound to memory, so that each crosses to or from the GPU once."""
        binding = self._session.io_binding()
        on_gpu = onnxruntime.OrtValue.ortvalue_from_numpy(given, "cuda", self._device.index)
        binding.bind_ortvalue_input(self._interface.input, on_gpu)
        for name in names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        results: list[np.ndarray[Any, Any]] = binding.copy_outputs_to_cpu()
        return results

    def _make_smaller(self, batch: Array, error: Exception) -> None:
        """Halve the batch if memory ran out; otherwise raise what the error means."""
        if not is_out_of_memory(error):
            raise InputShapeError(
                f"{self._where}: ONNX Runtime cannot run it on clips of shape {batch.shape[1:]} ({reason_of(error)})"
            ) from None
        if len(batch) == 1 or self._interface.batch is not None:
            views = "1 view" if len(batch) == 1 else f"{len(batch)} views"
            advice = "use a smaller model" if self.device == "cpu" else "use --device cpu"
            raise DeviceError(
                f"{self.device}: not enough memory for {views} of shape {batch.shape[1:]}; {advice}"
            ) from None
        self.views_per_batch = len(batch) // 2
        log.warning("%s ran out of memory; going on with %d views at a time", self.device, len(batch) // 2)

    def _require_fit(self, views: Array) -> None:
        wanted = (self._interface.frames, *self._interface.size)
        if any(fixed not in (None, given) for fixed, given in zip(wanted, views.shape[2:], strict=True)):
            raise InputShapeError(
                f"{self._where}: takes only clips of {' x '.join(str(n or 'any') for n in wanted)} (T x H x W), not "
                f"{' x '.join(map(str, views.shape[2:]))}; export it without --static"
            )


def _scores_of(logits: Array, several: bool) -> Array:
    """Sigmoid or softmax, for a file that returns only logits."""
    wide = logits.astype(np.float64)
    return (sigmoid(wide) if several else softmax(wide)).astype(np.float32)


def _logits_of(scores: Array, several: bool) -> Array:
    """Invert the sigmoid, or the softmax up to a constant of each view, for a file that returns only scores."""
    wide = np.maximum(scores.astype(np.float64), np.finfo(np.float32).tiny)
    logits = np.log(wide)
    if several:
        logits -= np.log1p(-np.minimum(wide, np.nextafter(np.float32(1), np.float32(0))))
    return logits.astype(np.float32)


def as_input(views: Array, kind: str, card: Card) -> np.ndarray[Any, Any]:
    """Convert normalised views (N, 3, T, H, W) to the input of a graph.

    Args:
        views: Normalised with the card's mean and standard deviation.
        kind: Type of the input's elements: ``float32``, ``float16`` or, for a graph that normalises, ``uint8``.
        card: Card of the model.

    Returns:
        The views in that type, or their pixels, (N, T, H, W, 3), rounded to whole numbers.
    """
    if kind != "uint8":
        return np.ascontiguousarray(views, dtype=kind)
    mean, std = np.array(card.preprocess.mean, np.float32), np.array(card.preprocess.std, np.float32)
    pixels = views.transpose(0, 2, 3, 4, 1) * std + mean  # (N, 3, T, H, W) -> (N, T, H, W, 3)
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
