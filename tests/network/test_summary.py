from __future__ import annotations

from dataclasses import replace

from nlvid_cli.card.architecture import NonLocal
from nlvid_cli.card.manifest import find_card
from nlvid_cli.network.nonlocal_block import insert_nonlocal
from nlvid_cli.network.resnet3d import ResNet3d
from nlvid_cli.network.summary import _description, summarise
from tests.conftest import make_card
from tests.network.test_resnet3d import FIVE, I3D


def test_a_resnet_as_in_the_papers_table() -> None:
    card = make_card(architecture=replace(I3D, nonlocal_blocks=FIVE))
    card = replace(
        card,
        sampling=replace(card.sampling, frames=32),
        preprocess=replace(card.preprocess, short_side=256, crop=224),
        labels=replace(card.labels, count=400, names=None),
    )
    summary = summarise(card)
    assert summary.input == (3, 32, 224, 224)
    assert [(row.name, row.layer, row.output) for row in summary.layers] == [
        ("stem", "5x7x7, 64, stride 2,2,2", (64, 16, 112, 112)),
        ("pool1", "max 3x3x3, stride 2,2,2", (64, 8, 56, 56)),
        ("res2", "[3x1x1, 64; 1x3x3, 64; 1x1x1, 256] x 3", (256, 8, 56, 56)),
        ("pool2", "max 3x1x1, stride 2,1,1", (256, 4, 56, 56)),
        (
            "res3",
            "[3x1x1, 128; 1x3x3, 128; 1x1x1, 512] x 2 (blocks 0, 2) + "
            "[1x1x1, 128; 1x3x3, 128; 1x1x1, 512] x 2 (blocks 1, 3); non-local after 1, 3",
            (512, 4, 28, 28),
        ),
        (
            "res4",
            "[3x1x1, 256; 1x3x3, 256; 1x1x1, 1024] x 3 (blocks 0, 2, 4) + "
            "[1x1x1, 256; 1x3x3, 256; 1x1x1, 1024] x 3 (blocks 1, 3, 5); non-local after 1, 3, 5",
            (1024, 4, 14, 14),
        ),
        (
            "res5",
            "[1x1x1, 512; 1x3x3, 512; 1x1x1, 2048] x 2 (blocks 0, 2) + "
            "[3x1x1, 512; 1x3x3, 512; 1x1x1, 2048] x 1 (blocks 1)",
            (2048, 4, 7, 7),
        ),
        ("head", "average 4 x 7 x 7, classifier", (400, 1, 1, 1)),
    ]
    assert summary.nonlocal_blocks == FIVE.after
    assert round(summary.parameters / 1e6, 2) == 35.40
    assert round(summary.multiply_adds / 1e9, 2) == 41.26


def test_the_inception_i3d() -> None:
    card = find_card("i3d")
    summary = summarise(card)
    # The original counts no scale of batch norm (it is 1): 12,689,984.
    assert summary.parameters == 12_697_264
    # 222 GFLOPs by counting kernels times outputs by hand, layer by layer.
    assert round(summary.multiply_adds / 1e9) == 111
    assert [row.name for row in summary.layers][:3] == ["conv_1a", "pool_2a", "conv_2b"]
    blocks = replace(card.architecture, nonlocal_blocks=NonLocal(("mixed_4c",)))
    summary = summarise(replace(card, architecture=blocks))
    assert summary.nonlocal_blocks == ("mixed_4c",)
    assert next(row.layer for row in summary.layers if row.name == "mixed_4c").endswith(", non-local")


def test_a_layer_that_a_block_is_wrapped_around() -> None:
    network = ResNet3d(replace(I3D, blocks=(1, 1, 1, 1), width=2), 5)
    insert_nonlocal(network, {"pool1": 2}, NonLocal(()))
    assert _description(network.get_submodule("pool1")) == "max 3x3x3, stride 2,2,2, non-local"
