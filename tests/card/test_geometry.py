"""Places of positions, against networks that are asked where they look."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nlvid_cli.card.architecture import Architecture, Head, InceptionArchitecture, Kernel3d
from nlvid_cli.card.geometry import MapAxis, Window, map_axes
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.network.build import ARCHITECTURES, build_on_meta
from nlvid_cli.network.units import Conv
from tests.small_networks import RESNET

INCEPTION = InceptionArchitecture("inception", Head("softmax_of_mean"), 1e-3)

FRAMES_FIRST = replace(  # stem and pool along time, as in the networks for 128 frames; no pool between the stages
    RESNET,
    stem=Kernel3d((5, 7, 7), (2, 2, 2), (2, 3, 3)),
    pool1=Kernel3d((2, 3, 3), (2, 2, 2)),
    pool2=None,
    block="bottleneck",
    inflate_kernel="3x1x1",
    last_stride=1,
    last_dilation=2,
)

PLACES: dict[str, tuple[Architecture, str]] = {
    "inception, mixed_3c": (INCEPTION, "mixed_3c"),
    "inception, mixed_4b": (INCEPTION, "mixed_4b"),
    "inception, mixed_5b": (INCEPTION, "mixed_5b"),
    "resnet, res2": (RESNET, "res2.0"),
    "resnet, res3": (RESNET, "res3.0"),
    "resnet, res4": (RESNET, "res4.0"),
    "resnet, res5": (RESNET, "res5.0"),
    "resnet for many frames, res3": (FRAMES_FIRST, "res3.0"),
    "resnet for many frames, res5": (FRAMES_FIRST, "res5.0"),
}

SIZES = [(32, 224, 224), (23, 193, 211), (16, 112, 127)]


class _Smooth(nn.Module):
    """An average in place of a maximum: then the whole network is linear, and the same at each place."""

    def __init__(self, kernel: object, stride: object, padding: object) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = self.padding
        if padding is None:
            from nlvid_cli.network.inception3d import same_padding

            pads = same_padding(x.shape[2:], self.kernel, self.stride)
            x, padding = nn.functional.pad(x, [pad for pair in reversed(pads) for pad in pair]), 0
        return nn.functional.avg_pool3d(x, self.kernel, self.stride, padding)


def _smooth_network(architecture: Architecture) -> nn.Module:
    """A network of averages: what it sees of a patch lies around the patch, as the strides and the padding have it."""
    network = ARCHITECTURES[architecture.kind](architecture, 2).eval()
    for module in network.modules():
        if isinstance(module, Conv):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    for name, module in list(network.named_modules()):
        if type(module).__name__ == "SamePadMaxPool3d":
            network.set_submodule(name, _Smooth(module.kernel, module.stride, None))
        elif isinstance(module, nn.MaxPool3d):
            network.set_submodule(name, _Smooth(module.kernel_size, module.stride, module.padding))
    return network


@pytest.mark.parametrize("place", PLACES)
def test_a_bright_patch_is_found_where_it_is(place: str) -> None:
    architecture, layer = PLACES[place]
    size = SIZES[1]
    axes = map_axes(size, architecture.windows_to(layer))
    network, seen = _smooth_network(architecture), []
    network.get_submodule(layer).register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    spans = [axis.step for axis in axes]  # a patch as large as the distance of two positions, somewhere inside
    corner = [
        int(length * share) - span // 2 for length, share, span in zip(size, (0.4, 0.45, 0.55), spans, strict=True)
    ]
    with torch.no_grad():
        for bright in (0.0, 1.0):
            clip = torch.zeros(1, 3, *size)
            box = [slice(low, low + span) for low, span in zip(corner, spans, strict=True)]
            clip[(slice(None), slice(None), *box)] = bright
            network(clip)
    found = (seen[1] - seen[0]).abs().sum(dim=(0, 1))
    for number, axis in enumerate(axes):
        profile = found.sum(dim=[other for other in range(3) if other != number])
        centre = float((profile * torch.arange(axis.length)).sum() / profile.sum())
        patch = corner[number] + (spans[number] - 1) / 2
        assert axis.centre(0) + axis.step * centre == pytest.approx(patch, abs=0.3 * axis.step + 0.5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_maps_have_the_size_that_the_network_gives_them(place: str, size: tuple[int, int, int]) -> None:
    architecture, layer = PLACES[place]
    network, seen = build_on_meta(architecture, 2), []
    network.get_submodule(layer).register_forward_hook(lambda *arguments: seen.append(arguments[2].shape))
    network.get_submodule("head").register_forward_pre_hook(lambda *arguments: seen.append(arguments[1][0].shape))
    network(torch.zeros(1, 3, *size, device="meta"))
    for name, shape in zip((layer, None), seen, strict=True):
        axes = map_axes(size, architecture.windows_to(name))
        assert tuple(axis.length for axis in axes) == tuple(shape[2:])


def test_maps_of_every_published_network() -> None:
    architectures = {(card.architecture, card.sampling.frames, card.preprocess.crop) for card in load_manifest().models}
    for architecture, frames, crop in architectures:
        network, seen = build_on_meta(architecture, 2), []
        network.get_submodule("head").register_forward_pre_hook(
            lambda *given, seen=seen: seen.append(given[1][0].shape)
        )
        network(torch.zeros(1, 3, frames, crop, crop, device="meta"))
        axes = map_axes((frames, crop, crop), architecture.windows_to())
        assert tuple(axis.length for axis in axes) == tuple(seen[0][2:])


def test_same_padding_moves_the_centres() -> None:
    # the picture in the docstring of the module
    axis = map_axes((6, 6, 6), [Window((3, 3, 3), (2, 2, 2), None)])[0]
    assert [axis.centre(i) for i in range(axis.length)] == [1, 3, 5]


def test_the_nearest_position() -> None:
    axis = MapAxis(4, 1.0, 2)
    assert [axis.nearest(sample) for sample in (-9, 0, 1.9, 2.1, 5, 99)] == [0, 0, 0, 1, 2, 3]
