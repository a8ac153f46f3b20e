from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn

from nlvid_cli.card.architecture import Head, NonLocal, ResNetArchitecture
from nlvid_cli.errors import CheckpointMismatch
from nlvid_cli.models.inflate import inflate
from nlvid_cli.network.build import load_weights
from nlvid_cli.network.resnet3d import ResNet3d
from tests.network.test_resnet3d import C2D, I3D

EVERY_18 = ((0, 1), (0, 1), (0, 1), (0, 1))
BASIC = {"block": "basic", "blocks": (2, 2, 2, 2)}


def image_network(depth: int) -> nn.Module:
    """A torchvision network whose weights make every layer matter."""
    torch.manual_seed(0)
    network: nn.Module = getattr(torchvision.models, f"resnet{depth}")(weights=None, num_classes=10)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1)
    return network.eval()


def features(network: nn.Module, x: Tensor, layers: list[str]) -> dict[str, Tensor]:
    """Run a network and return the outputs of some layers."""
    seen: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
        for name in layers
    ]
    with torch.inference_mode():
        network(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    ("depth", "architecture"),
    [
        (50, C2D),
        (50, I3D),
        (50, replace(I3D, inflate_kernel="3x3x3")),
        (18, replace(I3D, inflate=EVERY_18, **BASIC)),  # type: ignore[arg-type]
        (18, replace(I3D, inflate=EVERY_18, inflate_kernel="3x3x3", **BASIC)),  # type: ignore[arg-type]
    ],
)
def test_equal_frames_give_what_the_image_gives(depth: int, architecture: ResNetArchitecture) -> None:
    """At every stage, in the middle of the video: at its ends, zeros are padded in time."""
    image = image_network(depth)
    video = ResNet3d(replace(architecture, head=Head("mean_of_softmax", (1, 2, 2))), 10).eval()
    load_weights(video, inflate(image.state_dict(), video), "test")
    frame = torch.randn(1, 3, 48, 48)
    # far enough from the ends: C2D only has pools over time, I3D kernels too
    still = frame.unsqueeze(2).repeat(1, 1, 16 if architecture is C2D else 152, 1, 1)
    two = features(image, frame, ["maxpool", "layer1", "layer2", "layer3", "layer4"])
    three = features(video, still, ["pool1", "res2", "res3", "res4", "res5"])
    for flat, deep in zip(two.values(), three.values(), strict=True):
        middle = deep[:, :, deep.shape[2] // 2]
        assert (middle - flat).abs().max() < 1e-5 * flat.abs().max()
    with torch.inference_mode():
        logits = video(still)[:, :, still.shape[2] // 16, 0, 0]
        assert (logits - image(frame)).abs().max() < 1e-5 * logits.abs().max()


def test_non_local_blocks_and_other_classes_keep_their_own_values() -> None:
    blocks = NonLocal(("res3.0",))
    video = ResNet3d(replace(I3D, inflate=EVERY_18, nonlocal_blocks=blocks, **BASIC), 7)  # type: ignore[arg-type]
    tensors = inflate(image_network(18).state_dict(), video)
    assert tensors.keys() == video.state_dict().keys()
    for name in ("head.classifier.weight", "res3.0.nonlocal_block.theta.weight"):
        assert torch.equal(tensors[name], video.state_dict()[name])
    stem = image_network(18).state_dict()["conv1.weight"]
    assert tensors["stem.conv.weight"].shape == (64, 3, 5, 7, 7)
    torch.testing.assert_close(tensors["stem.conv.weight"].sum(dim=2), stem)


def test_networks_of_another_depth_or_block() -> None:
    video = ResNet3d(replace(C2D, **BASIC), 10)  # type: ignore[arg-type]
    with pytest.raises(
        CheckpointMismatch,
        match=r"res2\.0\.conv1\.conv\.weight is \(64, 64, 1, 1\).* \(64, 64, 1, 3, 3\)",
    ):
        inflate(image_network(50).state_dict(), video)
    with pytest.raises(CheckpointMismatch, match=r"res2\.0\.shortcut\.conv\.weight"):
        inflate({"layer1.0.downsample.0.weight": torch.zeros(1)}, video)
    tensors = image_network(18).state_dict()
    del tensors["layer2.1.bn2.bias"]
    with pytest.raises(CheckpointMismatch, match=r"res3\.1\.conv2\.norm\.bias"):
        inflate(tensors, video)
    tensors["layer2.1.bn2.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointMismatch, match=r"res3\.1\.conv2\.norm\.bias is \(5,\)"):
        inflate(tensors, video)
