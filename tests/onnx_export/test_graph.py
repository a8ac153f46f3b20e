"""Graphs of all kinds of networks, compared with torch."""

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
from nlvid_cli.card.card import Card
from nlvid_cli.onnx_export.graph import GraphForm, build_graph
from tests.conftest import make_card
from tests.onnx_models import write_model
from tests.small_networks import AFTER, INCEPTION, NETWORKS, random_weights

SIZES = [(8, 64, 64), (12, 77, 91)]
"""The card's own size, and one with odd sides."""


def outputs_of(model: onnx.ModelProto, video: np.ndarray) -> list[np.ndarray]:
    """Scores and logits by ONNX Runtime, without nlvid."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["scores", "logits"], {"video": video})


PLAIN = "Inception, SAME padding, a block"
"""The network that is exported without features, as most users do it."""

OF_ANY_SIZE = "Gaussian, pool after"
"""The network that is compared at two sizes every time. The slow tests do that for all networks."""


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != OF_ANY_SIZE])
def test_a_graph_of_fixed_size_equals_the_network(name: str, tmp_path: Path) -> None:
    _compare_with_torch(NETWORKS[name], GraphForm(static=True, features=name != PLAIN), SIZES[:1], tmp_path)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == OF_ANY_SIZE else pytest.mark.slow) for name in NETWORKS]
)
def test_a_graph_of_any_size_equals_the_network(name: str, tmp_path: Path) -> None:
    _compare_with_torch(NETWORKS[name], GraphForm(features=name != PLAIN), SIZES, tmp_path)


def _compare_with_torch(card: Card, form: GraphForm, sizes: list[tuple[int, int, int]], folder: Path) -> None:
    """Compare scores, logits, features and attention, in batches of 1 and 2."""
    tensors = random_weights(card)
    model = build_graph(card, tensors, form)
    onnx.checker.check_model(model, full_check=True)
    want = Want(features=True, attention={AFTER[0]: [0, 5, 11]}) if form.features else Want()
    backend = OnnxBackend(card, write_model(folder / "m.onnx", model), "cpu", "auto")
    for size in sizes:
        clips = np.random.default_rng(0).standard_normal((2, 3, *size), dtype=np.float32)
        expected = outputs_as_written(card, tensors, clips, want)
        largest = np.abs(expected.logits).max()
        assert np.abs(expected.logits - expected.logits.mean()).max() > 0.05 * largest
        for batch in (1, 2):
            scores, logits = outputs_of(model, clips[:batch])
            np.testing.assert_allclose(scores, expected.scores[:batch], atol=1e-4)
            np.testing.assert_allclose(logits, expected.logits[:batch], atol=1e-4 * largest)
            backend.views_per_batch = batch
            if form.features:
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


def test_a_graph_holds_nothing_about_the_machine() -> None:
    card = make_card(architecture=replace(INCEPTION, last="mixed_3b"))
    model = build_graph(card, random_weights(card), GraphForm(static=True))
    content = model.SerializeToString()
    for word in (b"/site-packages/", b"nlvid_cli", b"stack_trace"):
        assert word not in content
    assert {entry.domain for entry in model.opset_import} == {""}
    assert {node.op_type for node in model.graph.node} <= {"Conv", "Relu", "MaxPool", "Concat", "ReduceMean", "Softmax"}
    shape = [dim.dim_value or dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", 3, 8, 64, 64]
