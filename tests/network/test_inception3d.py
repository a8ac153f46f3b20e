from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nlvid_cli.card.architecture import Head, InceptionArchitecture
from nlvid_cli.card.card import Card
from nlvid_cli.errors import InputShapeError
from nlvid_cli.network.build import build_network, build_on_meta
from nlvid_cli.network.inception3d import InceptionI3d, SamePadConv3d, SamePadMaxPool3d, same_padding
from nlvid_cli.network.units import ConvNorm

KERNELS = [
    ((7, 7, 7), (2, 2, 2)),
    ((3, 3, 3), (1, 1, 1)),
    ((1, 3, 3), (1, 2, 2)),
    ((3, 3, 3), (2, 2, 2)),
    ((2, 2, 2), (2, 2, 2)),
]
SIZES = [(8, 12, 14), (9, 13, 15), (1, 7, 8), (2, 3, 1)]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 7, 2, (2, 3)),  # as in DeepMind's stem
        (225, 7, 2, (3, 3)),
        (112, 3, 2, (0, 1)),
        (113, 3, 2, (1, 1)),
        (28, 3, 1, (1, 1)),
        (7, 2, 2, (0, 1)),
        (8, 2, 2, (0, 0)),
        (1, 7, 2, (3, 3)),
    ],
)
def test_same_padding(size: int, kernel: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding((size,) * 3, (kernel,) * 3, (stride,) * 3) == [expected] * 3


def _padded(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], value: float) -> torch.Tensor:
    pads = same_padding(x.shape[2:], kernel, stride)
    return F.pad(x, [pad for pair in reversed(pads) for pad in pair], value=value)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_layers_pad_as_tensorflow_does(size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *size) - 1.0  # mostly negative: a pool that pads with zeros would show
    pooled = SamePadMaxPool3d(kernel, stride)(x)
    torch.testing.assert_close(pooled, F.max_pool3d(_padded(x, kernel, stride, -torch.inf), kernel, stride))
    conv = SamePadConv3d(3, 4, kernel, stride)
    torch.testing.assert_close(conv(x), F.conv3d(_padded(x, kernel, stride, 0.0), conv.weight, conv.bias, stride))
    assert conv(x).shape[2:] == tuple(-(-length // s) for length, s in zip(size, stride, strict=True))


def test_parameter_count(card: Card) -> None:
    network = InceptionI3d(InceptionArchitecture("inception", Head("softmax_of_mean", (2, 7, 7)), 1e-3), 400)
    scales = sum(unit.norm.weight.numel() for unit in network.modules() if isinstance(unit, ConvNorm))
    # The published file has 12,689,984 parameters, without the scale of batch norm, which the original fixes to 1.
    assert sum(p.numel() for p in network.parameters()) - scales == 12_689_984


def test_clips_that_are_too_short_are_refused(card: Card) -> None:
    architecture = InceptionArchitecture("inception", Head("softmax_of_mean", (2, 7, 7)), 1e-3)
    network = build_on_meta(architecture, 5)
    with pytest.raises(InputShapeError, match=r"head: .*1 x 7 x 7 .*pool"):
        network(torch.zeros(1, 3, 8, 224, 224, device="meta"))
    with pytest.raises(InputShapeError, match=r"conv_1a: .*clips"):
        network(torch.zeros(1, 3, 224, 224, device="meta"))


def test_positions_of_a_larger_input(card: Card) -> None:
    network = build_network(card)
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 17, 64, 96)).shape == (2, 5, 3, 1, 2)


@pytest.mark.parametrize("last", ["mixed_3b", "mixed_4b", "mixed_4f", "mixed_5b"])
def test_a_network_that_ends_early_is_the_beginning_of_the_whole(last: Literal["mixed_4b"]) -> None:
    head = Head("softmax_of_mean")
    whole = InceptionI3d(InceptionArchitecture("inception", head, 1e-3), 5).eval()
    short = InceptionI3d(InceptionArchitecture("inception", head, 1e-3, last=last), 5).eval()
    names = {name for name in short.state_dict() if not name.startswith("head.")}
    short.load_state_dict({name: value for name, value in whole.state_dict().items() if name in names}, strict=False)
    seen: list[torch.Tensor] = []
    whole.get_submodule(last).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    clips = torch.randn(1, 3, 8, 64, 64)
    with torch.inference_mode():
        whole(clips)
        features = short.features(clips)
        assert torch.equal(features, seen[0])
        assert short(clips).shape == (1, 5, 1, 1, 1)
    assert [name for name, _ in short.named_children()][-2:] == [last, "head"]


@pytest.mark.network
@pytest.mark.parametrize(
    "tag", ["t16", "t17_230", "t24_224x288", *(pytest.param(tag, marks=pytest.mark.slow) for tag in ("b2t16", "t64"))]
)
def test_equals_the_original_implementation(
    tag: str, real_network: torch.nn.Module, golden: dict[str, np.ndarray]
) -> None:
    """Logits and inner maps of DeepMind's network with the same weights, computed by the JAX port."""
    shape, scale = golden[f"inshape_{tag}"], golden[f"inscale_{tag}"]
    x = np.random.RandomState(1234).standard_normal(tuple(shape)).astype(np.float32) * scale
    clips = torch.from_numpy(x).permute(0, 4, 1, 2, 3)  # (N, T, H, W, C) -> (N, C, T, H, W)
    seen: dict[str, np.ndarray] = {}

    def keep(name: str) -> object:
        def hook(_module: object, _inputs: object, output: torch.Tensor) -> None:
            seen[name] = output.permute(0, 2, 3, 4, 1).numpy()  # (N, C, T, H, W) -> (N, T, H, W, C)

        return hook

    names = {"conv_1a": "Conv3d_1a_7x7", "mixed_3b": "Mixed_3b", "mixed_4f": "Mixed_4f", "mixed_5c": "Mixed_5c"}
    hooks = [real_network.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    with torch.inference_mode():
        logits = real_network(clips).mean(dim=2).permute(0, 2, 3, 1).numpy()  # (N, H', W', classes)
    for hook in hooks:
        hook.remove()
    expected = golden[f"logits_{tag}"].reshape(logits.shape)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=5e-4)
    slices = {
        "conv_1a": np.s_[:, :2, ::4, ::4, :4],
        "mixed_3b": np.s_[:, :2, ::2, ::2, :8],
        "mixed_4f": np.s_[:, :2, :, :, :8],
        "mixed_5c": np.s_[:, :2, :, :, :16],
    }
    for name, original in names.items():
        np.testing.assert_allclose(seen[name][slices[name]], golden[f"{original}_{tag}"], rtol=0, atol=5e-4)
