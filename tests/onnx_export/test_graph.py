"""Graphs of all kinds of networks against torch, at two sizes and two batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from nlvid_cli.backends.torch_backend import outputs_as_written
from nlvid_cli.onnx_export.graph import Form, build_graph
from tests.conftest import make_card
from tests.small_networks import INCEPTION, NETWORKS, random_weights

SIZES = [(8, 64, 64), (12, 77, 91)]
"""The card's own, and one with odd sides that are no square."""


def outputs_of(model: onnx.ModelProto, video: np.ndarray) -> list[np.ndarray]:
    """Scores and logits by ONNX Runtime, without nlvid."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["scores", "logits"], {"video": video})


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_equals_the_network_at_two_sizes_and_batches(name: str) -> None:
    card = NETWORKS[name]
    tensors = random_weights(card)
    model = build_graph(card, tensors, Form())
    onnx.checker.check_model(model, full_check=True)
    for size in SIZES:
        clips = np.random.default_rng(0).standard_normal((2, 3, *size), dtype=np.float32)
        outputs = outputs_as_written(card, tensors, clips)
        logits, scores = outputs.logits, outputs.scores
        largest = np.abs(logits).max()
        assert np.abs(logits - logits.mean()).max() > 0.05 * largest
        for batch in (1, 2):
            ours = outputs_of(model, clips[:batch])
            np.testing.assert_allclose(ours[0], scores[:batch], atol=1e-4)
            np.testing.assert_allclose(ours[1], logits[:batch], atol=1e-4 * largest)


def test_a_graph_tells_nothing_of_the_machine_it_was_made_on() -> None:
    card = make_card(architecture=replace(INCEPTION, last="mixed_3b"))
    model = build_graph(card, random_weights(card), Form(static=True))
    content = model.SerializeToString()
    for word in (b"/site-packages/", b"nlvid_cli", b"stack_trace"):
        assert word not in content
    assert {entry.domain for entry in model.opset_import} == {""}
    assert {node.op_type for node in model.graph.node} <= {"Conv", "Relu", "MaxPool", "Concat", "ReduceMean", "Softmax"}
    shape = [dim.dim_value or dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", 3, 8, 64, 64]
