"""From a graph in fp32 to one in int8: static, per channel, calibrated on clips of videos.

Weights are int8 with one scale for each output channel. Maps are uint8 with one scale and zero point each, which come
from the smallest and largest values on the calibration clips. The graph has QuantizeLinear and DequantizeLinear around
ordinary operators (QDQ), which every runtime understands and ONNX Runtime turns into integer kernels.

The classifier, the sums of the non-local blocks and the rest of the head stay in fp32: they cost little, and the scores
come from them. So does the first convolution, which all others depend on: rounding its input, the pixels, and its few
weights makes about half of the error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from nlvid_cli.models.onnx_file.contract import INPUT

OPERATORS = ["Conv", "MaxPool", "Concat", "Add"]
"""Operators to quantise. The others lie between or behind these, or are cheap."""

CLASSIFIER = "head.classifier.weight"
"""End of the name of the weights whose convolution stays in fp32."""


class _Views(CalibrationDataReader):  # type: ignore[misc]
    """Views, one after the other, as ONNX Runtime's calibration asks for them."""

    def __init__(self, views: Iterable[np.ndarray[Any, Any]]) -> None:
        self._views: Iterator[np.ndarray[Any, Any]] = iter(views)

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        view = next(self._views, None)
        return None if view is None else {INPUT: view}


def quantise(model: onnx.ModelProto, views: Iterable[np.ndarray[Any, Any]], scratch: Path) -> onnx.ModelProto:
    """Return the int8 form of a graph.

    Args:
        model: The graph in fp32.
        views: Views to calibrate on, each as the graph's input with a batch of 1.
        scratch: A file to overwrite.
    """
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    kept = [node.name for node in convolutions if any(name.endswith(CLASSIFIER) for name in node.input)]
    kept.append(convolutions[0].name)
    with _without_advice():
        quantize_static(
            model,
            scratch,
            _Views(views),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            # 7 of the 8 bits: products of two pairs are then exact in the 16-bit sums of processors without VNNI, so
            # that a file gives the same scores on all of them
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            calibrate_method=CalibrationMethod.MinMax,
        )
    return onnx.load(scratch)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence ONNX Runtime's advice, on the root logger, to prepare the graph; the exporter has done that."""

    def refuse(_: logging.LogRecord) -> bool:
        return False

    logging.root.addFilter(refuse)  # a logger's filter sees only what is logged by that very logger
    try:
        yield
    finally:
        logging.root.removeFilter(refuse)
