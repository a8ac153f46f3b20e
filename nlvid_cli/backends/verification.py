"""Does a model compute what it should, here, with each backend and in each precision?

A reference is a set of inputs that anybody can make again, and the outputs that belong to them::

    seed            int: inputs are RandomState(seed).standard_normal(shape) as float32 (numpy keeps that generator
                    frozen, NEP 19), taken as already normalised
    axes            order of the axes in which the numbers are drawn; NCTHW unless it says otherwise
    logits_SHAPE    (N, classes) float32, averaged over positions; SHAPE is for example 1x3x16x224x224 (N, C, T, H, W)
    scores_SHAPE    the same for scores; may be absent
    scale_SHAPE     what the inputs are multiplied with; 1 unless it says otherwise

``weights/references/`` has such files (.npz), with what the original implementation computed, for the models whose
weights could be run in it. For any other model, the reference is the network as it is written, in torch and fp32,
without any of the changes that make it fast; an ONNX file that nlvid exported carries one such in its metadata
(:data:`nlvid_cli.models.onnx_file.contract.REFERENCE_KEY`), as JSON with seed, shape, logits and scores, where the
input is :func:`make_blocks` of these, so that it can be tested where torch is not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipInfo

import numpy as np

from nlvid_cli.backends import BACKENDS, Array, Backend, Precision
from nlvid_cli.card.card import Card, Preprocess
from nlvid_cli.card.manifest import weights_folder
from nlvid_cli.errors import UsageError
from nlvid_cli.models.onnx_file.contract import REFERENCE_KEY, Interface, interface_of
from nlvid_cli.models.onnx_file.read import read_onnx

FP32_TOLERANCE = 1e-4
"""Largest difference of logits in fp32, in units of the largest logit."""

LOW_TOLERANCE = 0.1
"""The same for bf16 and fp16, which round each step to 3 or 4 digits."""

INT8_TOLERANCE = 0.25
"""The same for int8, which has 256 steps from the smallest to the largest value of a map."""

TOLERANCES = {"fp32": FP32_TOLERANCE, "bf16": LOW_TOLERANCE, "fp16": LOW_TOLERANCE, "int8": INT8_TOLERANCE}

MAX_VALUES = 2**28
"""Numbers in a reference's input; more would be a mistake or an attack."""

MAX_VALUES_INSIDE = 2**26
"""The same for a reference inside a file, which is one view."""

BLOCK_VALUES = 4 * 16 * 16
"""Pixels of a block of :func:`make_blocks`."""

MAX_FILE_BYTES = 2**28
"""Of a file of references, unpacked."""

SEED = 1234
DEFAULT_AXES = "NCTHW"


@dataclass(frozen=True, eq=False)
class Reference:
    """Clips and what should come out of them.

    Attributes:
        origin: who computed the outputs.
        clips: (N, 3, T, H, W) float32.
        logits: (N, classes) float32.
        scores: (N, classes) float32, or None where they are not known.
    """

    origin: str
    clips: Array
    logits: Array
    scores: Array | None


@dataclass(frozen=True)
class Comparison:
    """How far one backend in one precision is from one reference.

    Attributes:
        reference: its origin.
        shape: (N, C, T, H, W) of the clips.
        backend: for example ``torch``.
        device: for example ``cpu``.
        precision: a key of :data:`TOLERANCES`.
        logits_difference: largest absolute one.
        largest_logit: largest absolute value of the reference's logits.
        scores_difference: largest absolute one, or None where the reference has no scores.
        same_top5: whether the five best labels of each clip are the same ones.
        tolerance: of ``relative_difference``.
    """

    reference: str
    shape: tuple[int, ...]
    backend: str
    device: str
    precision: str
    logits_difference: float
    largest_logit: float
    scores_difference: float | None
    same_top5: bool
    tolerance: float

    @property
    def relative_difference(self) -> float:
        """The larger of both differences in units of the largest logit: right scores move no more than logits do."""
        scores = 0.0 if self.scores_difference is None else self.scores_difference
        return float(np.maximum(self.logits_difference, scores)) / self.largest_logit

    @property
    def passed(self) -> bool:
        """Whether it is within the tolerance; a NaN is not."""
        return self.relative_difference <= self.tolerance


def verify(
    card: Card,
    tensors: Mapping[str, Array],
    device: str = "auto",
    precisions: Sequence[Precision] = (),
    against: Path | None = None,
) -> tuple[Comparison, ...]:
    """Compare torch, in each precision, with the model's references.

    Args:
        card: of the model.
        tensors: its weights.
        device: as for ``load``.
        precisions: which ones; empty: all that the device has.
        against: a file of references; None: the stored one of this model, or else the network as it is written.

    Raises:
        DeviceError: the device or a precision is not there.
        CheckpointMismatch: weights and network do not fit.
        UsageError: ``against`` is no file of references, or not for this model.
    """
    from nlvid_cli.backends.torch_backend import TorchBackend

    references = find_references(card, tensors, against)
    comparisons: list[Comparison] = []
    for precision in precisions or available_precisions(device):
        comparisons += _replay(TorchBackend(card, tensors, device, precision), references)
    return tuple(comparisons)


def verify_onnx(
    card: Card,
    path: Path,
    device: str = "auto",
    precisions: Sequence[Precision] = (),
    against: Path | None = None,
) -> tuple[Comparison, ...]:
    """Compare an ONNX file with the references of its model, or else with the one that it carries.

    Args:
        card: of the model.
        path: the file.
        device: as for ``load``.
        precisions: which ones, of which a file has one only; empty: that one.
        against: a file of references; None: the stored one of this model, or else the one in the file.

    Raises:
        DeviceError: the device is not there, or the file computes in another precision.
        ModelError: the file cannot be run.
        UsageError: there is no reference, or none for this model.
    """
    backends = [BACKENDS["onnx"](card, path, device, precision) for precision in precisions or ("auto",)]
    return tuple(_replay(backends[0], _references_of_onnx(card, path, against)))


def _replay(backend: Backend, references: Sequence[Reference]) -> list[Comparison]:
    return [compare(reference, backend) for reference in references]


def compare(reference: Reference, backend: Backend) -> Comparison:
    """Run a backend on the clips of a reference, and measure how far it is from what should come out."""
    outputs = backend.outputs(reference.clips)
    logits, scores = outputs.logits, outputs.scores
    top = min(5, logits.shape[1])
    return Comparison(
        reference=reference.origin,
        shape=reference.clips.shape,
        backend=backend.name,
        device=backend.device,
        precision=backend.precision,
        logits_difference=float(np.abs(logits - reference.logits).max()),
        largest_logit=float(np.abs(reference.logits).max()),
        scores_difference=None if reference.scores is None else float(np.abs(scores - reference.scores).max()),
        same_top5=all(
            set(np.argsort(-ours)[:top]) == set(np.argsort(-theirs)[:top])
            for ours, theirs in zip(logits, reference.logits, strict=True)
        ),
        tolerance=TOLERANCES[backend.precision],
    )


def available_precisions(device: str) -> tuple[Precision, ...]:
    """What can be computed in on a device: no fp16 on CPUs."""
    from nlvid_cli.backends.torch_backend import choose_device

    return ("fp32", "bf16") if choose_device(device).type == "cpu" else ("fp32", "bf16", "fp16")


def find_references(card: Card, tensors: Mapping[str, Array], against: Path | None) -> tuple[Reference, ...]:
    """Those of ``against``, or of ``weights/references/``, or the network as it is written."""
    if against is not None:
        return read_references(against, card, against.name)
    stored = weights_folder() / "references" / f"{card.name}.npz"
    if stored.is_file():
        return read_references(stored, card, "original implementation")
    from nlvid_cli.backends.torch_backend import outputs_as_written

    clips = make_clips((1, 3, card.sampling.frames, card.preprocess.crop, card.preprocess.crop), SEED)
    outputs = outputs_as_written(card, tensors, clips)
    return (Reference("network as written, fp32", clips, outputs.logits, outputs.scores),)


def _references_of_onnx(card: Card, path: Path, against: Path | None) -> tuple[Reference, ...]:
    stored = weights_folder() / "references" / f"{card.name}.npz"
    model = read_onnx(path)
    if against is not None or (stored.is_file() and _takes_anything(interface_of(model, card, str(path)))):
        return read_references(against or stored, card, against.name if against else "original implementation")
    inside = model.metadata.get(REFERENCE_KEY)
    if inside is None:
        raise UsageError(f"{path}: has no reference inside; give one with --against FILE.npz")
    try:
        return (_reference_inside(inside, card),)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise UsageError(f"{path}: the reference inside is not valid ({error}); give one with --against") from None


def _reference_inside(text: str, card: Card) -> Reference:
    """The reference in the metadata of an ONNX file, where anything may stand."""
    data = json.loads(text)
    shape = tuple(int(length) for length in data["shape"])
    if len(shape) != 5 or shape[1] != 3 or min(shape) < 1:
        raise ValueError(f"its shape is {shape[:6]}")
    if math.prod(_blocks(shape)) * BLOCK_VALUES > MAX_VALUES_INSIDE:
        raise ValueError(f"its input has the shape {shape}; at most {MAX_VALUES_INSIDE} values are used")
    expected = (shape[0], card.labels.count)
    logits, scores = (np.array(data[name], np.float32).reshape(expected) for name in ("logits", "scores"))
    _require_logits(logits)
    clips = make_blocks(shape, int(data["seed"]), card.preprocess)
    return Reference("network as written, fp32, of the export", clips, logits, scores)


def _require_logits(logits: Array) -> None:
    """Differences are told in units of the largest logit."""
    if not np.isfinite(logits).all() or not logits.any():
        raise ValueError("its logits are zero, or no numbers")


def _takes_anything(interface: Interface) -> bool:
    """Whether any reference can be replayed: of any size, with values that no pixel has, and within rounding."""
    free = (interface.batch, interface.frames, *interface.size) == (None,) * 4
    return free and interface.kind != "uint8" and interface.precision != "int8"


def make_blocks(shape: tuple[int, ...], seed: int, rules: Preprocess) -> Array:
    """Clips of coloured blocks, (N, 3, T, H, W) float32, normalised from whole pixels.

    A block is 16 x 16 pixels and 4 frames; RandomState(seed).randint(0, 256) draws (N, T/4, H/16, W/16, 3) colours,
    each length rounded up. Blocks are more like a picture than noise of single pixels, which convolutions average out.
    """
    _, _, frames, height, width = shape
    colours = np.random.RandomState(seed).randint(0, 256, _blocks(shape)).astype(np.float32)
    pixels = colours.repeat(4, axis=1).repeat(16, axis=2).repeat(16, axis=3)[:, :frames, :height, :width]
    normalised = (pixels - np.array(rules.mean, np.float32)) / np.array(rules.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(0, 4, 1, 2, 3))  # (N, T, H, W, 3) -> (N, 3, T, H, W)


def _blocks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the colours of :func:`make_blocks`: (N, T/4, H/16, W/16, 3), each length rounded up."""
    views, _, frames, height, width = shape
    return (views, -(-frames // 4), -(-height // 16), -(-width // 16), 3)


def make_clips(shape: tuple[int, ...], seed: int, axes: str = DEFAULT_AXES, scale: float = 1.0) -> Array:
    """Clips of a reference, (N, C, T, H, W) float32, from numbers drawn in the order of ``axes``."""
    drawn_shape = [shape[DEFAULT_AXES.index(axis)] for axis in axes]
    drawn = np.random.RandomState(seed).standard_normal(drawn_shape).astype(np.float32)
    return np.ascontiguousarray(drawn.transpose([axes.index(axis) for axis in DEFAULT_AXES]) * np.float32(scale))


def read_references(path: Path, card: Card, origin: str) -> tuple[Reference, ...]:
    """The references of a file; the format is described at the top of this module.

    Raises:
        UsageError: no such file, not of that format, or for a network of other classes.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            _require_small(file.zip.infolist())
            values = {name: file[name] for name in file.files if name.startswith(("logits_", "scores_", "scale_"))}
            seed, axes = int(file["seed"]), str(file["axes"]) if "axes" in file.files else DEFAULT_AXES
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise UsageError(f"{path}: not a file of references ({error}); see `nlvid models verify --help`") from None
    if sorted(axes) != sorted(DEFAULT_AXES):
        raise UsageError(f"{path}: the axes are {axes!r}, not an order of {DEFAULT_AXES}")
    tags = [name.removeprefix("logits_") for name in values if name.startswith("logits_")]
    if not tags:
        raise UsageError(f"{path}: has no logits_SHAPE to compare with, such as logits_1x3x16x224x224")
    return tuple(_reference(tag, values, seed, axes, card, f"{path}: logits_{tag}", origin) for tag in tags)


def _require_small(members: list[ZipInfo]) -> None:
    size_bytes = sum(member.file_size for member in members)
    if size_bytes > MAX_FILE_BYTES:
        raise ValueError(f"it unpacks to {size_bytes} bytes; at most {MAX_FILE_BYTES} are read")


def _reference(
    tag: str, values: Mapping[str, Array], seed: int, axes: str, card: Card, where: str, origin: str
) -> Reference:
    if re.fullmatch(r"\d{1,3}x3(x\d{1,4}){3}", tag) is None:
        raise UsageError(f"{where}: is not named by a shape such as 1x3x16x224x224")
    shape = tuple(map(int, tag.split("x")))
    if not 0 < math.prod(shape) <= MAX_VALUES:
        raise UsageError(f"{where}: its input has {math.prod(shape)} values; at most {MAX_VALUES} are used")
    expected = (shape[0], card.labels.count)
    logits, scores = values[f"logits_{tag}"], values.get(f"scores_{tag}")
    for array in (logits, logits if scores is None else scores):
        if array.shape != expected:
            raise UsageError(f"{where}: is {array.shape}, but {card.name} gives {expected}")
    try:
        _require_logits(logits)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: {error}") from None
    scale = float(values.get(f"scale_{tag}", np.array(1.0)))
    return Reference(origin, make_clips(shape, seed, axes, scale), logits, scores)
