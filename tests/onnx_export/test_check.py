"""The second size of the comparison with torch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nlvid_cli.card.architecture import ResNetArchitecture
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, load_manifest
from nlvid_cli.onnx_export.check import other_size, torch_device


@pytest.mark.parametrize("card", load_manifest().models, ids=lambda card: card.name)
def test_groups_of_frames_divide_the_other_clip_too(card: Card) -> None:
    """Groups divide the frames of res3, after the stem and both pools."""
    other = other_size(card)
    assert other.sampling.frames > card.sampling.frames
    assert other.preprocess.short_side >= other.preprocess.crop == card.preprocess.crop + 13
    architecture = card.architecture
    if not isinstance(architecture, ResNetArchitecture) or architecture.nonlocal_blocks is None:
        return
    if architecture.nonlocal_blocks.group_frames is None:
        assert other.sampling.frames % 2 != card.sampling.frames % 2  # odd, if possible
        return
    assert architecture.nonlocal_blocks.group_stages == ("res3",)
    frames = other.sampling.frames
    for window in (architecture.stem, architecture.pool1, architecture.pool2):
        if window is not None:
            frames = (frames + 2 * window.padding[0] - window.kernel[0]) // window.stride[0] + 1
    assert frames % architecture.nonlocal_blocks.group_frames == 0


@pytest.mark.parametrize(
    ("device", "by_torch"),
    [("tensorrt", "cuda:0"), ("cuda:1", "cuda:1"), ("openvino", "cpu"), ("cpu", "cpu"), ("auto", "auto")],
)
def test_torch_is_timed_on_the_same_hardware(device: str, by_torch: str) -> None:
    assert torch_device(device) == by_torch


@pytest.mark.parametrize("there", [True, False])
def test_torch_is_timed_on_a_mac_too(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: there)
    assert [torch_device(name) for name in ("coreml", "mps")] == ["mps" if there else "cpu"] * 2


def test_groups_in_the_inception_network() -> None:
    card = find_card("tiny")
    blocks = card.architecture.nonlocal_blocks
    assert blocks is not None
    grouped = replace(blocks, group_frames=2, group_stages=("mixed_4b",))
    card = replace(card, architecture=replace(card.architecture, nonlocal_blocks=grouped))
    assert other_size(card).sampling.frames == card.sampling.frames + 2 * 8
