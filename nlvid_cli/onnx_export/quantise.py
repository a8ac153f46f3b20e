"""From a graph in fp32 to one in int8: static, per channel, calibrated on real clips.

Weights are int8, one scale for each output channel; maps are uint8, one scale and zero point for each. The scales of
the maps come from the smallest and largest values that the calibration clips give. It is written as QuantizeLinear
and DequantizeLinear around ordinary operators (QDQ), which every runtime understands and ONNX Runtime turns into
integer kernels.

The classifier stays in fp32, and so do the sums of the non-local blocks and the head: they cost little, and scores
come out of them. Weights take 7 of their 8 bits: products of two pairs are then exact in the 16-bit sums of processors
without VNNI, so that a file gives the same scores on all of them.
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
"""What is quantised. The others lie between or behind them and follow, or are cheap."""

CLASSIFIER = "head.classifier.weight"
"""End of the name of the weights whose convolution stays in fp32."""


class _Views(CalibrationDataReader):  # type: ignore[misc]
    """Views, one after the other, as ONNX Runtime's calibration asks for them."""

    def __init__(self, views: Iterable[np.ndarray[Any, Any]]) -> None:
        self._views: Iterator[np.ndarray[Any, Any]] = iter(views)

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        view = next(self._views, None)
        return None if view is None else {INPUT: view}


def quantise(model: onnx.ModelProto, views: Iterable[np.ndarray[Any, Any]], target: Path) -> onnx.ModelProto:
    """The int8 form of a graph.

    Args:
        model: in fp32.
        views: what to calibrate on, each in the form of the graph's input with a batch of 1.
        target: a file that may be written meanwhile.
    """
    kept = [node.name for node in model.graph.node if any(name.endswith(CLASSIFIER) for name in node.input)]
    with _without_advice():
        quantize_static(
            model,
            target,
            _Views(views),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            calibrate_method=CalibrationMethod.MinMax,
        )
    return onnx.load(target)


@contextmanager
def _without_advice() -> Iterator[None]:
    """ONNX Runtime's tool advises, on the root logger, a preparation that the exporter has done already."""

    def refuse(_: logging.LogRecord) -> bool:
        return False  # a filter of a logger sees only what is said to that very logger

    logging.root.addFilter(refuse)
    try:
        yield
    finally:
        logging.root.removeFilter(refuse)
