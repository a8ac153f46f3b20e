"""References: clips that anybody can make again, and the outputs that a trusted implementation gave for them.

A file of references (.npz) holds::

    seed            int: inputs are RandomState(seed).standard_normal(shape) as float32, already normalised; numpy
                    keeps that generator frozen (NEP 19)
    axes            order of the axes in which the numbers are drawn; default NCTHW
    logits_SHAPE    (N, classes) float32, averaged over positions; SHAPE is for example 1x3x16x224x224 (N, C, T, H, W)
    scores_SHAPE    the same for scores; optional
    scale_SHAPE     factor of the inputs; default 1

``weights/references/`` has such files for the models whose weights could be run in the original implementation.

An ONNX file that nlvid exported carries one reference in its metadata, so that it can be tested without torch: JSON
with seed, shape, logits and scores, under :data:`nlvid_cli.models.onnx_file.contract.REFERENCE_KEY`. Its input is
:func:`mosaic_clips`, and its outputs are those of the network as written, in torch and fp32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipInfo

import numpy as np

from nlvid_cli.backends import Array
from nlvid_cli.card.card import Card, Preprocess
from nlvid_cli.errors import UsageError
from nlvid_cli.system.strict_json import parse_json

MAX_VALUES = 2**28
"""Most numbers in the input of a reference in a file of references."""

MAX_VALUES_INSIDE = 2**26
"""Most numbers in the input of a reference inside an ONNX file, which is one view."""

BLOCK_VALUES = 4 * 16 * 16
"""Pixels in one block of :func:`mosaic_clips`."""

MAX_FILE_BYTES = 2**28
"""Largest file of references, unpacked."""

DEFAULT_AXES = "NCTHW"


@dataclass(frozen=True, eq=False)
class ReferenceOutputs:
    """Clips and the outputs that a network should have for them.

    Attributes:
        origin: Who computed the outputs.
        clips: (N, 3, T, H, W) float32, normalised.
        logits: (N, classes) float32.
        scores: (N, classes) float32, or None if unknown.
    """

    origin: str
    clips: Array
    logits: Array
    scores: Array | None


def noise_clips(shape: tuple[int, ...], seed: int, axes: str = DEFAULT_AXES, scale: float = 1.0) -> Array:
    """Make clips of noise, (N, C, T, H, W) float32, from numbers drawn in the order of ``axes``."""
    drawn_shape = [shape[DEFAULT_AXES.index(axis)] for axis in axes]
    drawn = np.random.RandomState(seed).standard_normal(drawn_shape).astype(np.float32)
    return np.ascontiguousarray(drawn.transpose([axes.index(axis) for axis in DEFAULT_AXES]) * np.float32(scale))


def mosaic_clips(shape: tuple[int, ...], seed: int, rules: Preprocess) -> Array:
    """Make clips of coloured blocks, (N, 3, T, H, W) float32, normalised from whole pixels.

    A block is 16 x 16 pixels and 4 frames; RandomState(seed).randint(0, 256) draws (N, T/4, H/16, W/16, 3) colours,
    each length rounded up. Convolutions average out noise of single pixels; blocks are closer to a picture.
    """
    _, _, frames, height, width = shape
    colours = np.random.RandomState(seed).randint(0, 256, _mosaic_shape(shape)).astype(np.float32)
    pixels = colours.repeat(4, axis=1).repeat(16, axis=2).repeat(16, axis=3)[:, :frames, :height, :width]
    normalised = (pixels - np.array(rules.mean, np.float32)) / np.array(rules.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(0, 4, 1, 2, 3))  # (N, T, H, W, 3) -> (N, 3, T, H, W)


def _mosaic_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the colours of :func:`mosaic_clips`: (N, T/4, H/16, W/16, 3), each length rounded up."""
    views, _, frames, height, width = shape
    return (views, -(-frames // 4), -(-height // 16), -(-width // 16), 3)


def read_references(path: Path, card: Card, origin: str) -> tuple[ReferenceOutputs, ...]:
    """Read a file of references; the module's docstring describes the format.

    Args:
        path: The file.
        card: Card of the model that the references are for.
        origin: Who computed them.

    Raises:
        UsageError: The file does not exist, has another format, or is for another number of classes.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            _require_small(file.zip.infolist())
            values = {name: file[name] for name in file.files if name.startswith(("logits_", "scores_", "scale_"))}
            seed, axes = int(file["seed"]), str(file["axes"]) if "axes" in file.files else DEFAULT_AXES
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise UsageError(f"{path}: not a file of references ({error}); see `nlvid models verify --help`") from None
    if sorted(axes) != sorted(DEFAULT_AXES):
        raise UsageError(f"{path}: the axes {axes!r} are not an order of {DEFAULT_AXES}")
    tags = [name.removeprefix("logits_") for name in values if name.startswith("logits_")]
    if not tags:
        raise UsageError(f"{path}: no logits_SHAPE to compare with, such as logits_1x3x16x224x224")
    return tuple(_reference(tag, values, seed, axes, card, f"{path}: logits_{tag}", origin) for tag in tags)


def _require_small(members: list[ZipInfo]) -> None:
    size_bytes = sum(member.file_size for member in members)
    if size_bytes > MAX_FILE_BYTES:
        raise ValueError(f"it unpacks to {size_bytes} bytes; the limit is {MAX_FILE_BYTES}")


def _reference(
    tag: str, values: Mapping[str, Array], seed: int, axes: str, card: Card, where: str, origin: str
) -> ReferenceOutputs:
    if re.fullmatch(r"\d{1,3}x3(x\d{1,4}){3}", tag) is None:
        raise UsageError(f"{where}: the name does not end in a shape such as 1x3x16x224x224")
    shape = tuple(map(int, tag.split("x")))
    if not 0 < math.prod(shape) <= MAX_VALUES:
        raise UsageError(f"{where}: the input has {math.prod(shape)} values; the limit is {MAX_VALUES}")
    expected = (shape[0], card.labels.count)
    logits, scores = values[f"logits_{tag}"], values.get(f"scores_{tag}")
    for array in (logits, logits if scores is None else scores):
        if array.shape != expected:
            raise UsageError(f"{where}: the shape is {array.shape}, but {card.name} returns {expected}")
    try:
        _require_logits(logits)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: {error}") from None
    scale = float(values.get(f"scale_{tag}", np.array(1.0)))
    return ReferenceOutputs(origin, noise_clips(shape, seed, axes, scale), logits, scores)


def parse_reference(text: str, card: Card) -> ReferenceOutputs:
    """Parse the reference in the metadata of an ONNX file, which may come from anywhere.

    Raises:
        ValueError, LookupError, TypeError, ArithmeticError: The text is not a reference.
    """
    data = parse_json(text)
    shape = tuple(int(length) for length in data["shape"])
    if len(shape) != 5 or shape[1] != 3 or min(shape) < 1:
        raise ValueError(f"the shape is {shape[:6]}")
    if math.prod(_mosaic_shape(shape)) * BLOCK_VALUES > MAX_VALUES_INSIDE:
        raise ValueError(f"the input has the shape {shape}; the limit is {MAX_VALUES_INSIDE} values")
    expected = (shape[0], card.labels.count)
    logits, scores = (np.array(data[name], np.float32).reshape(expected) for name in ("logits", "scores"))
    _require_logits(logits)
    clips = mosaic_clips(shape, int(data["seed"]), card.preprocess)
    return ReferenceOutputs("network as written, fp32, of the export", clips, logits, scores)


def _require_logits(logits: Array) -> None:
    """Check that the largest logit can be the unit of differences."""
    if not np.isfinite(logits).all() or not logits.any():
        raise ValueError("the logits are zero, NaN or infinite")
