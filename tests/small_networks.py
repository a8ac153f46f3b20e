"""Small networks of every kind. Each takes a second to run and a few to export."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nlvid_cli.card.architecture import Head, InceptionArchitecture, Kernel3d, NonLocal, ResNetArchitecture
from nlvid_cli.card.card import Card
from nlvid_cli.network.build import build_network
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


def random_weights(card: Card) -> dict[str, np.ndarray]:
    """Make weights with which every layer matters: norms are not the identity, and blocks are not zero."""
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
