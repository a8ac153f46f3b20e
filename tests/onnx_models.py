"""Small ONNX models: good, foreign and malicious ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 5


def make_model(
    *,
    kind: int = TensorProto.FLOAT,
    shape: Sequence[int | str] = ("n", 3, "t", "h", "w"),
    output: str = "out",
    last: str | None = None,
    nodes: Sequence[onnx.NodeProto] = (),
    initializers: Sequence[onnx.TensorProto] = (),
    classes: int = CLASSES,
) -> onnx.ModelProto:
    """Make a model: mean over positions of (N, 3, T, H, W), a matrix to ``classes``, and ``last``, if any."""
    axes = numpy_helper.from_array(np.array([2, 3, 4], np.int64), "axes")
    weights = numpy_helper.from_array(np.arange(3 * classes, dtype=np.float32).reshape(3, classes) / 10, "weights")
    steps = [
        helper.make_node("ReduceMean", ["video", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], [output if last is None else "logits_"]),
        *([] if last is None else [helper.make_node(last, ["logits_"], [output])]),
    ]
    graph = helper.make_graph(
        [*nodes, *steps],
        "test",
        [helper.make_tensor_value_info("video", kind, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], classes])],
        [axes, weights, *initializers],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_model(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def weights_of(classes: int = CLASSES) -> np.ndarray:
    """Return the matrix that :func:`make_model` multiplies by."""
    return np.arange(3 * classes, dtype=np.float32).reshape(3, classes) / 10
