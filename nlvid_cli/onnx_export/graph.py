"""From a network of torch to an ONNX file, with everything that is needed to run it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import torch

from nlvid_cli._version import __version__
from nlvid_cli.backends import Array
from nlvid_cli.backends.references import ReferenceOutputs
from nlvid_cli.card.card import CARD_KEY, Card, card_to_json
from nlvid_cli.card.manifest import label_names
from nlvid_cli.models.model_file import VERSION_KEY
from nlvid_cli.models.onnx_file.contract import (
    FEATURES,
    INPUT,
    INPUT_KEY,
    LABELS_KEY,
    OUTPUTS,
    PRECISION_KEY,
    REFERENCE_KEY,
    keys_name,
    queries_name,
)
from nlvid_cli.network.build import load_network
from nlvid_cli.network.export_form import ExportForm, inner_blocks
from nlvid_cli.onnx_export.check import SEED
from nlvid_cli.system.interrupts import Interrupts

log = logging.getLogger(__name__)

OPSET = 18
"""Version of the standard operators. ONNX Runtime has had it since 1.14."""

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.float32}
"""Data type of the exported network, by precision. int8 is made from fp32 afterwards."""


@dataclass(frozen=True)
class GraphForm:
    """How to write a graph.

    Attributes:
        precision: A key of :data:`DTYPES`.
        static: Whether frames, height and width are fixed to those of the card. The batch is always free.
        with_preprocess: Whether the input is uint8 pixels, (N, T, H, W, 3), which the graph normalises.
        features: Whether the last feature map, and queries and keys of each non-local block, are outputs too.
    """

    precision: str = "fp32"
    static: bool = False
    with_preprocess: bool = False
    features: bool = False


def build_graph(card: Card, tensors: Mapping[str, Array], form: GraphForm) -> onnx.ModelProto:
    """Build the graph of a model in fp32 or fp16, with its weights and without metadata.

    Args:
        card: Card of the model.
        tensors: Weights by name.
        form: How to write the graph. If the exporter cannot keep the sizes free, they are fixed, with a warning.

    Raises:
        CheckpointMismatch: The weights do not fit the card's network.
    """
    network = load_network(card, tensors)
    graph = ExportForm(network, card, DTYPES[form.precision], form.with_preprocess, form.features)
    frames, crop = card.sampling.frames, card.preprocess.crop
    # two views, because the exporter takes a length of 1 for a fixed one
    if form.with_preprocess:
        example, sizes = torch.zeros(2, frames, crop, crop, 3, dtype=torch.uint8), (1, 2, 3)
    else:
        example, sizes = torch.zeros(2, 3, frames, crop, crop), (2, 3, 4)
    outputs = (*OUTPUTS, *(_inner_outputs(card) if form.features else ()))
    free = {0: "batch"} | dict(zip(sizes, ("frames", "height", "width"), strict=True))
    if not form.static:
        try:
            return _exported(graph, example, free, outputs)
        except torch.onnx.errors.OnnxExporterError as error:
            log.debug("%s", error)
            log.warning("%s cannot be exported for clips of any size; frames, height and width are fixed", card.name)
    return _exported(graph, example, {0: "batch"}, outputs)


def _inner_outputs(card: Card) -> list[str]:
    """Names of what :class:`ExportForm` returns after scores and logits."""
    return [FEATURES, *(name for block in inner_blocks(card) for name in (queries_name(block), keys_name(block)))]


def _exported(
    graph: ExportForm, example: torch.Tensor, free: Mapping[int, str], outputs: Sequence[str]
) -> onnx.ModelProto:
    with Interrupts() as interrupts:
        try:
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_shapes={INPUT: dict(free)},
                opset_version=OPSET,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError:
            interrupts.check()  # the exporter may report Ctrl-C as an error of the network
            raise
    assert program is not None
    model = program.model_proto
    _remove_traces(model)
    return model


def _remove_traces(model: onnx.ModelProto) -> None:
    """Remove what the exporter writes about the program and this machine: stack traces, paths, names of modules."""
    del model.metadata_props[:]
    graph = model.graph
    del graph.metadata_props[:]
    graph.name, graph.doc_string = "nlvid", ""
    del graph.value_info[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""


def write_graph(model: onnx.ModelProto, card: Card, form: GraphForm, reference: ReferenceOutputs, file: Path) -> None:
    """Write a graph to a file, with the model card, the labels and a reference in its metadata.

    Args:
        model: The graph; its metadata is changed in place.
        card: Card of the model.
        form: How the graph is written.
        reference: Views as of :func:`views_to_compare`, and the outputs of the network as written.
        file: The file to write.
    """
    if form.precision == "int8":
        card = replace(card, accuracy=())  # nobody measured it
    texts = {
        CARD_KEY: card_to_json(card),
        VERSION_KEY: __version__,
        LABELS_KEY: "\n".join(label_names(card)),
        PRECISION_KEY: form.precision,
        INPUT_KEY: describe_input(card, form),
        REFERENCE_KEY: _reference_json(reference),
    }
    # the exporter states the newest version of the format; older runtimes refuse that, and run the graph if told
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    model.producer_name, model.producer_version = "nlvid", __version__
    model.doc_string = f"{card.name}: {card.summary}. Licence of the weights: {card.licence}"
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _reference_json(reference: ReferenceOutputs) -> str:
    """The first view alone, a mosaic, which anybody can make again."""
    assert reference.scores is not None
    outputs = {"logits": reference.logits[0], "scores": reference.scores[0]}
    numbers = {name: [float(f"{x:.8g}") for x in array] for name, array in outputs.items()}
    return json.dumps({"seed": SEED, "shape": (1, *reference.clips.shape[1:])} | numbers)


def describe_input(card: Card, form: GraphForm) -> str:
    """Describe the input of the graph, for people who run the file in another program."""
    rules, sampling = card.preprocess, card.sampling
    clip = f"{sampling.frames} RGB frames, every {sampling.step}th"
    clip += f" at {sampling.frame_rate:g} frames/s" if sampling.frame_rate else " of the video"
    clip += f", short side {rules.short_side}, crop {rules.crop} x {rules.crop}"
    if form.with_preprocess:
        return f"uint8 (N, T, H, W, 3), values 0 to 255: {clip}"
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (rules.mean, rules.std))
    return f"float32 (N, 3, T, H, W), (value - mean) / std of values 0 to 255, mean ({mean}), std ({std}): {clip}"
