from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nlvid_cli.card.architecture import Head, Kernel3d, NonLocal, ResNetArchitecture
from nlvid_cli.errors import InputShapeError
from nlvid_cli.network.build import build_on_meta
from nlvid_cli.network.inference import inference_form
from nlvid_cli.network.nonlocal_block import NonLocalBlock, insert_nonlocal
from nlvid_cli.network.resnet3d import ResNet3d

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
EVERY_OTHER_50 = ((0, 1, 2), (0, 2), (0, 2, 4), (1,))
EVERY_OTHER_101 = ((0, 1, 2), (0, 2), tuple(range(0, 23, 2)), (1,))
FIVE = NonLocal(("res3.1", "res3.3", "res4.1", "res4.3", "res4.5"))
TEN = NonLocal(tuple(f"res3.{i}" for i in range(4)) + tuple(f"res4.{i}" for i in range(6)))
FIVE_101 = NonLocal(("res3.1", "res3.3", "res4.6", "res4.13", "res4.20"))

C2D = ResNetArchitecture(  # the paper's table 1
    "resnet",
    R50,
    stem=Kernel3d((1, 7, 7), (2, 2, 2), (0, 3, 3)),
    pool1=Kernel3d((3, 3, 3), (2, 2, 2), (1, 1, 1)),
    pool2=Kernel3d((3, 1, 1), (2, 1, 1), (1, 0, 0)),
    head=Head("mean_of_softmax", (4, 7, 7)),
)
I3D = replace(C2D, stem=Kernel3d((5, 7, 7), (2, 2, 2), (2, 3, 3)), inflate=EVERY_OTHER_50)

PUBLISHED_8X8 = {  # the graph of the 8x8 checkpoints of video-nonlocal-net
    "pool1": Kernel3d((1, 3, 3), (1, 2, 2), (0, 0, 0)),
    "pool2": Kernel3d((2, 1, 1), (2, 1, 1)),
}
C2D_8X8 = replace(C2D, stem=Kernel3d((1, 7, 7), (1, 2, 2), (0, 3, 3)), **PUBLISHED_8X8)  # type: ignore[arg-type]
I3D_8X8 = replace(I3D, stem=Kernel3d((5, 7, 7), (1, 2, 2), (2, 3, 3)), **PUBLISHED_8X8)  # type: ignore[arg-type]


def small(**changes: object) -> ResNetArchitecture:
    """Return the architecture of a network that runs quickly."""
    parts: dict[str, object] = {"blocks": (1, 2, 2, 1), "width": 8, "head": Head("mean_of_softmax", None)}
    return replace(I3D, **(parts | {"inflate": ((0,), (0,), (0, 1), ())} | changes))  # type: ignore[arg-type]


def on_meta(architecture: ResNetArchitecture) -> nn.Module:
    return build_on_meta(architecture, 400)


def million_parameters(architecture: ResNetArchitecture) -> float:
    return sum(parameter.numel() for parameter in on_meta(architecture).parameters()) / 1e6


@pytest.mark.parametrize(
    ("architecture", "millions"),
    [
        (C2D, 24.33),
        (I3D, 28.04),
        (replace(I3D, nonlocal_blocks=FIVE), 35.40),
        (replace(I3D, nonlocal_blocks=TEN), 42.76),
        (replace(I3D, blocks=R101, inflate=EVERY_OTHER_101, nonlocal_blocks=FIVE_101), 59.11),
    ],
)
def test_parameter_counts(architecture: ResNetArchitecture, millions: float) -> None:
    assert million_parameters(architecture) == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("architecture", [C2D, I3D, replace(I3D, inflate_kernel="3x3x3")])
def test_layer_shapes_of_table_1(architecture: ResNetArchitecture) -> None:
    network = on_meta(architecture)
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(name: str) -> object:
        def hook(_module: object, _inputs: object, output: torch.Tensor) -> None:
            shapes[name] = tuple(output.shape[1:])

        return hook

    for name, layer in network.named_children():
        layer.register_forward_hook(keep(name))
    network(torch.zeros(1, 3, 32, 224, 224, device="meta"))
    assert shapes == {
        "stem": (64, 16, 112, 112),
        "pool1": (64, 8, 56, 56),
        "res2": (256, 8, 56, 56),
        "pool2": (256, 4, 56, 56),
        "res3": (512, 4, 28, 28),
        "res4": (1024, 4, 14, 14),
        "res5": (2048, 4, 7, 7),
        "head": (400, 1, 1, 1),
    }


def giga_flops(architecture: ResNetArchitecture, frames: int, pairs: bool) -> float:
    """Count multiplications and additions in 10^9, with ``pairs`` also the products of pairs in non-local blocks."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        on_meta(architecture)(torch.zeros(1, 3, frames, 224, 224, device="meta"))
    counts = counter.get_flop_counts()["Global"]
    return sum(n for op, n in counts.items() if pairs or "conv" in str(op)) / 1e9


def test_flop_ratios_of_the_paper() -> None:
    """Tables 2c and 2e, within 0.1, for the published 8x8 graph by its convolutions; see docs/networks.md."""
    base = giga_flops(C2D_8X8, 8, pairs=False)
    nonlocal_c2d = giga_flops(replace(C2D_8X8, nonlocal_blocks=FIVE), 8, pairs=False)
    r101 = giga_flops(replace(C2D_8X8, blocks=R101), 8, pairs=False)
    assert giga_flops(I3D_8X8, 8, pairs=False) / base == pytest.approx(1.5, abs=0.1)
    assert giga_flops(replace(I3D_8X8, inflate_kernel="3x3x3"), 8, pairs=False) / base == pytest.approx(1.8, abs=0.1)
    assert nonlocal_c2d / base == pytest.approx(1.2, abs=0.1)
    assert nonlocal_c2d / r101 == pytest.approx(0.8, abs=0.1)
    ratio = million_parameters(replace(C2D_8X8, nonlocal_blocks=FIVE)) / million_parameters(replace(C2D, blocks=R101))
    assert ratio == pytest.approx(0.7, abs=0.1)


def test_published_flops_of_another_project() -> None:
    """PyTorchVideo states 37.53 and 25.89 GFLOPs (multiply-adds, batch norms counted too) for these, at 256."""
    pool1 = Kernel3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
    for architecture, stated in ((I3D_8X8, 37.53), (C2D_8X8, 25.89)):
        network = on_meta(replace(architecture, pool1=pool1))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 3, 8, 256, 256, device="meta"))
        assert counter.get_total_flops() / 2e9 == pytest.approx(stated, abs=0.45)


def test_where_the_blocks_sit() -> None:
    network = on_meta(replace(I3D, nonlocal_blocks=FIVE))
    names = [name for name, module in network.named_modules() if isinstance(module, NonLocalBlock)]
    assert names == [f"{place}.nonlocal_block" for place in FIVE.after]


@pytest.mark.parametrize("pairwise", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_fresh_blocks_are_the_identity(pairwise: str, block: str) -> None:
    torch.manual_seed(0)
    network = ResNet3d(small(block=block), 5).eval()
    x = torch.randn(1, 3, 8, 64, 64)
    with torch.no_grad():
        before = network(x)
        insert_nonlocal(network, ["res2.0", "res3.1", "res4.0"], NonLocal((), pairwise=pairwise))  # type: ignore[arg-type]
        assert torch.equal(network(x), before)
    assert sum(isinstance(module, NonLocalBlock) for module in network.modules()) == 3


def test_groups_of_frames_in_one_stage_only() -> None:
    blocks = replace(FIVE, group_frames=4, group_stages=("res3",))
    network = on_meta(replace(I3D, nonlocal_blocks=blocks))
    groups = {
        name: module.group_frames for name, module in network.named_modules() if isinstance(module, NonLocalBlock)
    }
    assert [groups[f"{place}.nonlocal_block"] for place in FIVE.after] == [4, 4, None, None, None]


def test_tensor_names() -> None:
    names = set(on_meta(replace(I3D, nonlocal_blocks=FIVE)).state_dict())
    assert {
        "stem.conv.weight", "stem.norm.running_mean", "res2.0.shortcut.conv.weight", "res2.0.conv1.norm.bias",
        "res4.5.conv3.conv.weight", "res3.1.nonlocal_block.theta.weight", "res3.1.nonlocal_block.out.norm.weight",
        "head.classifier.bias",
    } <= names  # fmt: skip


@pytest.mark.parametrize("norm", ["batch", "affine"])
@pytest.mark.parametrize("block", ["bottleneck", "basic"])
@pytest.mark.parametrize("inflate_kernel", ["3x1x1", "3x3x3"])
@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (1, 2)])
def test_variants_run_and_have_an_inference_form(
    norm: str, block: str, inflate_kernel: str, stride: int, dilation: int
) -> None:
    torch.manual_seed(0)
    blocks = NonLocal(("res3.1", "res4.0"), norm=norm)  # type: ignore[arg-type]
    architecture = small(norm=norm, block=block, inflate_kernel=inflate_kernel, last_stride=stride,
                         last_dilation=dilation, nonlocal_blocks=blocks)  # fmt: skip
    network = ResNet3d(architecture, 5).eval()
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.0)
    x = torch.randn(2, 3, 8, 64, 80)
    with torch.inference_mode():
        expected = network(x)
        fast = inference_form(network, torch.device("cpu"), torch.float32)
        assert expected.shape == (2, 5, 1, 1, 1)
        assert network.features(x).shape[-2:] == ((4, 5) if stride == 1 else (2, 3))
        assert (fast(x) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert not any(isinstance(m, nn.BatchNorm3d) or type(m).__name__ == "ChannelAffine" for m in fast.modules())


def test_fully_convolutional_positions() -> None:
    network = on_meta(replace(C2D, head=Head("mean_of_softmax", (4, 7, 7))))
    assert network(torch.zeros(1, 3, 32, 256, 320, device="meta")).shape == (1, 400, 1, 2, 4)
    assert network(torch.zeros(1, 3, 64, 224, 224, device="meta")).shape == (1, 400, 5, 1, 1)


@pytest.mark.parametrize(
    ("architecture", "size", "message"),
    [
        (
            small(pool2=Kernel3d((2, 1, 1), (2, 1, 1))),
            (3, 64, 64),
            "pool2.*kernel",
        ),
        (small(head=Head("mean_of_softmax", (4, 2, 2))), (16, 64, 64), "head: .*2 x 2 x 2"),
        (
            small(pool1=Kernel3d((3, 3, 3), (2, 2, 2))),
            (2, 64, 64),
            "pool1.*kernel",
        ),
        (small(stem=Kernel3d((5, 7, 7), (1, 2, 2))), (4, 64, 64), "stem.*4 x 64 x 64"),
    ],
)
def test_clips_that_do_not_fit(architecture: ResNetArchitecture, size: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputShapeError, match=message):
        ResNet3d(architecture, 5).eval()(torch.zeros(1, 3, *size))


def test_not_a_clip() -> None:
    with pytest.raises(InputShapeError, match=r"stem: .*clips.*\(1, 1, 8, 64, 64\)"):
        ResNet3d(small(), 5)(torch.zeros(1, 1, 8, 64, 64))
