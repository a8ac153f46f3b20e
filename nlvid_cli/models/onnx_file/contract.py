"""What an ONNX file needs to name the actions in a video: its input, its outputs and its metadata.

nlvid's own files have the input ``video`` and the outputs ``scores`` and ``logits``, and state the rest in their
metadata. For other files, shapes and the last operator decide what goes in and what comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nlvid_cli.card.card import CARD_KEY, MAX_VIEW_VALUES, Card, card_from_json
from nlvid_cli.errors import CheckpointMismatch, ModelFileError
from nlvid_cli.models.onnx_file.read import OnnxModel, Port, read_onnx

INPUT = "video"
OUTPUTS = ("scores", "logits")

FEATURES = "features"
"""Optional output of nlvid's own files: the last feature map, (N, channels, T', H', W')."""


def queries_name(block: str) -> str:
    """Name of the optional output with the queries of a non-local block, (N, D, T, H, W)."""
    return f"{block}.queries"


def keys_name(block: str) -> str:
    """Name of the optional output with the keys of a non-local block, (N, D, T', H', W')."""
    return f"{block}.keys"


LABELS_KEY = "nlvid_labels"
"""Metadata key of the class names, one on each line."""

INPUT_KEY = "nlvid_input"
"""Metadata key of a sentence on the input, for people who run the file elsewhere."""

PRECISION_KEY = "nlvid_precision"
"""Metadata key of the precision: ``fp32``, ``fp16`` or ``int8``."""

REFERENCE_KEY = "nlvid_reference"
"""Metadata key of inputs and outputs to test the file with, see :mod:`nlvid_cli.backends.references`."""

PRECISIONS = ("fp32", "fp16", "int8")

SAME_VALUES = (
    "Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear",
)  # fmt: skip
"""Operators that change only the type or shape of their first input."""

FLOATS = {"float32": "fp32", "float16": "fp16"}


@dataclass(frozen=True)
class Interface:
    """How to run a graph.

    Attributes:
        input: Name of the input.
        kind: Type of its elements: ``float32``, ``float16``, or ``uint8`` for pixels.
        batch: Number of views in one run. None for any number.
        frames: Number of frames in a clip. None for any number.
        size: Height and width of a clip, each None for any length.
        scores: Name of the output with scores. None if they must be computed from the logits.
        logits: Name of the output with logits. None if they must be computed from the scores.
        precision: ``fp32``, ``fp16`` or ``int8``.
        features: Whether there is an output with the last feature map.
        blocks: Non-local blocks with outputs for their queries and keys.
    """

    input: str
    kind: str
    batch: int | None
    frames: int | None
    size: tuple[int | None, int | None]
    scores: str | None
    logits: str | None
    precision: str
    features: bool = False
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnnxFacts:
    """What a user wants to know about an ONNX file.

    Attributes:
        opset: Version of the standard operators.
        producer: Program that wrote it.
        precision: ``fp32``, ``fp16`` or ``int8``.
        input: Name, type and shape of the input.
        outputs: Name, type and shape of each output.
        operators: Number of times each operator occurs, the most frequent first.
    """

    opset: int
    producer: str
    precision: str
    input: str
    outputs: tuple[str, ...]
    operators: dict[str, int]


def facts_of(path: Path, card: Card) -> OnnxFacts:
    """Return what a user wants to know about an ONNX file; errors as for :func:`interface_of`."""
    model = read_onnx(path)
    interface = interface_of(model, card, str(path))
    operators = sorted(model.operators.items(), key=lambda entry: -entry[1])
    (port,) = model.inputs
    outputs = tuple(map(_described, model.outputs))
    return OnnxFacts(model.opset, model.producer, interface.precision, _described(port), outputs, dict(operators))


def card_in(model: OnnxModel, where: str) -> Card | None:
    """Return the card in a file that nlvid wrote, or None.

    Raises:
        ModelFileError: The card is invalid.
    """
    text = model.metadata.get(CARD_KEY)
    return None if text is None else card_from_json(text, where)


def interface_of(model: OnnxModel, card: Card, where: str) -> Interface:
    """Return how to run a model for videos.

    Args:
        model: Model as :func:`read_onnx` returns it.
        card: Card of the model. It decides the number of labels, and the sizes that the file leaves free.
        where: File, for messages.

    Raises:
        ModelFileError: Its inputs or outputs are not those of a network for videos.
        CheckpointMismatch: It has another number of classes.
    """
    port = _video_port(model, where)
    shape = port.shape or (None,) * 5
    batch, (frames, height, width) = shape[0], shape[1:4] if port.kind == "uint8" else shape[2:]
    crop = card.preprocess.crop
    sizes = (batch or 1, frames or card.sampling.frames, height or crop, width or crop)
    if math.prod(sizes) * 3 > MAX_VIEW_VALUES:
        shown = f"{' x '.join(map(str, sizes))} (views x frames x height x width)"
        raise ModelFileError(f"{where}: its input is {shown}, which is more than nlvid gives to a network")
    scores, logits = _outputs(model, card.labels.count, where)
    precision = model.metadata.get(PRECISION_KEY) or _precision(model)
    if precision not in PRECISIONS:
        raise ModelFileError(
            f"{where}: its precision is {precision[:20]!r}, which is not one of {', '.join(PRECISIONS)}"
        )
    features, blocks = _inner_outputs(model, card)
    return Interface(port.name, port.kind, batch, frames, (height, width), scores, logits, precision, features, blocks)


def fit_card(card: Card, path: Path) -> Card:
    """Return a card for another program's ONNX file of the same network, with frames and crop as the file fixes them.

    Raises:
        ModelError: As for :func:`read_onnx` and :func:`interface_of`, or the file's clips are not square.
    """
    interface = interface_of(read_onnx(path), card, str(path))
    height, width = interface.size
    if height != width:
        raise ModelFileError(f"{path}: its frames are {width} x {height} pixels, but nlvid crops squares")
    crop = height or card.preprocess.crop
    short_side = max(crop, card.preprocess.short_side)
    return replace(
        card,
        sampling=replace(card.sampling, frames=interface.frames or card.sampling.frames),
        preprocess=replace(card.preprocess, crop=crop, short_side=short_side),
    )


def _video_port(model: OnnxModel, where: str) -> Port:
    if len(model.inputs) != 1:
        names = ", ".join(port.name for port in model.inputs) or "none"
        raise ModelFileError(f"{where}: has {len(model.inputs)} inputs ({names}); a network for videos has one")
    port = model.inputs[0]
    pixels = port.kind == "uint8"
    if port.kind not in FLOATS and not pixels:
        raise ModelFileError(
            f"{where}: its input {port.name!r} is {port.kind}; nlvid supports float32, float16 and uint8"
        )
    colours = -1 if pixels else 1
    if port.shape is not None and (len(port.shape) != 5 or port.shape[colours] not in (3, None)):
        wanted = "(N, T, H, W, 3)" if pixels else "(N, 3, T, H, W)"
        raise ModelFileError(
            f"{where}: its input {port.name!r} has the shape {_shown(port.shape)}; clips are {wanted}, views x "
            "colours x frames x height x width"
        )
    return port


def _outputs(model: OnnxModel, classes: int, where: str) -> tuple[str | None, str | None]:
    """Return the names of the outputs with scores and with logits."""
    for port in model.outputs:
        if port.kind not in FLOATS:
            raise ModelFileError(f"{where}: its output {port.name!r} is {port.kind}; scores are float32 or float16")
    names = {port.name: port for port in model.outputs}
    if all(name in names for name in OUTPUTS):
        _require_classes([names[name] for name in OUTPUTS], classes, where)
        return OUTPUTS
    if len(model.outputs) != 1:
        raise ModelFileError(
            f"{where}: has the outputs {', '.join(names) or 'none'}; nlvid needs one of (views, classes), or two named "
            "scores and logits"
        )
    port = model.outputs[0]
    _require_classes([port], classes, where)
    return (port.name, None) if _maker(model, port.name) in ("Softmax", "Sigmoid") else (None, port.name)


def _inner_outputs(model: OnnxModel, card: Card) -> tuple[bool, tuple[str, ...]]:
    """Return whether there is an output with features, and the blocks with outputs for attention.

    In other programs' files, outputs of the same names count only if they have the right number of axes.
    """
    maps = {port.name for port in model.outputs if port.shape is not None and len(port.shape) == 5}
    blocks = card.architecture.nonlocal_blocks
    names = () if blocks is None else blocks.after
    return FEATURES in maps, tuple(name for name in names if {queries_name(name), keys_name(name)} <= maps)


def _maker(model: OnnxModel, name: str) -> str:
    """Return the operator that computed a value, before others changed its type or shape."""
    kind = ""
    for _ in model.makers:  # no chain is longer than this, and a damaged file may have a circle
        kind, name = model.makers.get(name, ("", ""))
        if kind not in SAME_VALUES:
            break
    return kind


def _require_classes(ports: list[Port], classes: int, where: str) -> None:
    for port in ports:
        if port.shape is not None and (len(port.shape) != 2 or port.shape[1] not in (classes, None)):
            raise CheckpointMismatch(
                f"{where}: its output {port.name!r} has the shape {_shown(port.shape)}, but with the model's {classes} "
                f"labels it should be (views, {classes}); is it another model's file?"
            )


def _precision(model: OnnxModel) -> str:
    """Return the precision of another program's file, by its operators and most of its weights."""
    if any("Quantize" in kind or "QLinear" in kind for kind in model.operators):
        return "int8"
    most = max(model.weight_kinds, key=lambda kind: model.weight_kinds[kind], default="float32")
    return FLOATS.get(most, "fp32")


def _described(port: Port) -> str:
    return f"{port.name}, {port.kind} {'of any shape' if port.shape is None else _shown(port.shape)}"


def _shown(shape: tuple[Literal[None] | int, ...]) -> str:
    return "(" + ", ".join("any" if length is None else str(length) for length in shape) + ")"
