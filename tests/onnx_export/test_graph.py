"""Graphs of all kinds of networks against torch, at two sizes and two batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from nlvid_cli.backends import Outputs, Want
from nlvid_cli.backends.onnx_backend import OnnxBackend
from nlvid_cli.backends.torch_backend import outputs_as_written
from nlvid_cli.onnx_export.graph import GraphForm, build_graph
from tests.conftest import make_card
from tests.onnx_models import write_model
from tests.small_networks import AFTER, INCEPTION, NETWORKS, random_weights

SIZES = [(8, 64, 64), (12, 77, 91)]
"""The card's own, and one with odd sides that are no square."""


def outputs_of(model: onnx.ModelProto, video: np.ndarray) -> list[np.ndarray]:
    """Scores and logits by ONNX Runtime, without nlvid."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["scores", "logits"], {"video": video})


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_equals_the_network_at_two_sizes_and_batches(name: str, tmp_path: Path) -> None:
    card = NETWORKS[name]
    tensors = random_weights(card)
    features = name != "Inception, SAME padding, a block"  # one of them as most users export it
    model = build_graph(card, tensors, GraphForm(features=features))
    onnx.checker.check_model(model, full_check=True)
    want = Want(features, {AFTER[0]: [0, 5, 11]} if features else {})
    backend = OnnxBackend(card, write_model(tmp_path / "m.onnx", model), "cpu", "auto")
    for size in SIZES:
        clips = np.random.default_rng(0).standard_normal((2, 3, *size), dtype=np.float32)
        expected = outputs_as_written(card, tensors, clips, want)
        largest = np.abs(expected.logits).max()
        assert np.abs(expected.logits - expected.logits.mean()).max() > 0.05 * largest
        for batch in (1, 2):
            scores, logits = outputs_of(model, clips[:batch])
            np.testing.assert_allclose(scores, expected.scores[:batch], atol=1e-4)
            np.testing.assert_allclose(logits, expected.logits[:batch], atol=1e-4 * largest)
            backend.views_per_batch = batch
            if features:
                _require_same(backend.outputs(clips, want), expected)


def _require_same(ours: Outputs, theirs: Outputs) -> None:
    """Features and attention are those of torch."""
    assert ours.features is not None
    assert theirs.features is not None
    assert ours.attention is not None
    assert theirs.attention is not None
    np.testing.assert_allclose(ours.features.map, theirs.features.map, atol=1e-4 * np.abs(theirs.features.map).max())
    np.testing.assert_allclose(
        ours.features.average, theirs.features.average, atol=1e-4 * np.abs(theirs.features.average).max()
    )
    assert ours.attention.keys() == theirs.attention.keys()
    for block, rows in ours.attention.items():
        expected = theirs.attention[block]
        assert (rows.query_grid, rows.key_grid) == (expected.query_grid, expected.key_grid)
        np.testing.assert_allclose(rows.weights, expected.weights, atol=1e-4 * np.abs(expected.weights).max())


def test_a_graph_tells_nothing_of_the_machine_it_was_made_on() -> None:
    card = make_card(architecture=replace(INCEPTION, last="mixed_3b"))
    model = build_graph(card, random_weights(card), GraphForm(static=True))
    content = model.SerializeToString()
    for word in (b"/site-packages/", b"nlvid_cli", b"stack_trace"):
        assert word not in content
    assert {entry.domain for entry in model.opset_import} == {""}
    assert {node.op_type for node in model.graph.node} <= {"Conv", "Relu", "MaxPool", "Concat", "ReduceMean", "Softmax"}
    shape = [dim.dim_value or dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", 3, 8, 64, 64]
