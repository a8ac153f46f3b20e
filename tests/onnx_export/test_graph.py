"""Graphs of all kinds of networks against torch, at two sizes and two batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from nlvid_cli.backends.torch_backend import outputs_as_written
from nlvid_cli.card.architecture import Head, InceptionArchitecture, Kernel3d, NonLocal, ResNetArchitecture
from nlvid_cli.card.card import Card
from nlvid_cli.network import build_network
from nlvid_cli.onnx_export.graph import Form, build_graph
from tests.conftest import make_card

RESNET = ResNetArchitecture(
    "resnet",
    (1, 1, 1, 1),
    stem=Kernel3d((3, 7, 7), (1, 2, 2), (1, 3, 3)),
    pool1=Kernel3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    pool2=Kernel3d((2, 1, 1), (2, 1, 1)),
    inflate=((), (0,), (), ()),
    inflate_kernel="3x3x3",
    block="basic",
    width=8,
    head=Head("softmax_of_mean"),
)
INCEPTION = InceptionArchitecture("inception", Head("softmax_of_mean"), 1e-3, last="mixed_4b")

AFTER = ("res3.0",)

NETWORKS: dict[str, Card] = {
    # as in the 32x4 checkpoints: groups of frames, no norm in the blocks, a head for several labels
    "embedded Gaussian, groups of frames, sigmoid": make_card(
        architecture=replace(
            RESNET,
            norm="affine",
            head=Head("mean_of_sigmoid", (2, 1, 1)),
            nonlocal_blocks=NonLocal(AFTER, norm="none", group_frames=2, group_stages=("res3",)),
        )
    ),
    # as MMAction2's: the pool after the convolutions, no scale
    "Gaussian, pool after": make_card(
        architecture=replace(RESNET, nonlocal_blocks=NonLocal(AFTER, "gaussian", pool_place="after", scaled=False))
    ),
    "dot product, bottlenecks, dilation": make_card(
        architecture=replace(
            RESNET,
            block="bottleneck",
            inflate_kernel="3x1x1",
            last_stride=1,
            last_dilation=2,
            nonlocal_blocks=NonLocal(AFTER, "dot_product", pool=None),
        )
    ),
    "concatenation, mean of softmax": make_card(
        architecture=replace(
            RESNET, head=Head("mean_of_softmax", (2, 1, 1)), nonlocal_blocks=NonLocal(AFTER, "concatenation")
        )
    ),
    "along time alone": make_card(
        architecture=replace(RESNET, nonlocal_blocks=NonLocal(AFTER, domain="time", pool=(2, 1, 1)))
    ),
    "Inception, SAME padding, a block": make_card(
        architecture=replace(INCEPTION, nonlocal_blocks=NonLocal(("mixed_3b",)))
    ),
}  # fmt: skip

SIZES = [(8, 64, 64), (12, 77, 91)]
"""The card's own, and one with odd sides that are no square."""


def random_weights(card: Card) -> dict[str, np.ndarray]:
    """Weights with which all layers count: norms are not the identity, and blocks do something."""
    torch.manual_seed(0)
    network = build_network(card)
    for name, tensor in network.state_dict().items():
        if name.endswith(("norm.weight", "running_var")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("norm.bias", "running_mean", "weight_theta", "weight_phi")):
            tensor.normal_(0, 0.3)
        elif ".nonlocal_block." in name and name.endswith("weight"):
            tensor.normal_(0, 0.2)
        elif name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(tensor)
    return {name: tensor.numpy() for name, tensor in network.state_dict().items() if "num_batches" not in name}


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
        logits, scores = outputs_as_written(card, tensors, clips)
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
