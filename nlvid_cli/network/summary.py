"""What a network is, layer by layer, as in table 1 of "Non-local Neural Networks"; no weights are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nlvid_cli.card.card import Card
from nlvid_cli.network import build_network
from nlvid_cli.network.inception3d import Mixed, SamePadMaxPool3d
from nlvid_cli.network.nonlocal_block import NonLocalBlock
from nlvid_cli.network.resnet3d import ResidualBlock
from nlvid_cli.network.units import ConvNorm, times


@dataclass(frozen=True)
class LayerRow:
    """A top-level layer: its name, what it does, and the size (channels, T, H, W) of what it gives."""

    name: str
    layer: str
    output: tuple[int, ...]


@dataclass(frozen=True)
class NetworkSummary:
    """A network at the size of the test.

    Attributes:
        input: (3, T, H, W) of one view.
        layers: in the order of the forward pass.
        nonlocal_blocks: names of the layers that such a block follows.
        parameters: their number, the statistics of batch norm not counted.
        multiply_adds: of one view, in convolutions and in the products of the non-local blocks.
    """

    input: tuple[int, ...]
    layers: tuple[LayerRow, ...]
    nonlocal_blocks: tuple[str, ...]
    parameters: int
    multiply_adds: int


def summarise(card: Card) -> NetworkSummary:
    """Build the card's network without memory for weights, and follow one view through it."""
    with torch.device("meta"):
        network = build_network(card)
        crop = card.preprocess.crop
        view = torch.zeros(1, 3, card.sampling.frames, crop, crop)
    rows: list[LayerRow] = []
    for name, layer in network.named_children():
        layer.register_forward_hook(_row_of(name, rows))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(view)
    return NetworkSummary(
        input=tuple(view.shape[1:]),
        layers=tuple(rows),
        nonlocal_blocks=tuple(
            name.removesuffix(".nonlocal_block")
            for name, module in network.named_modules()
            if isinstance(module, NonLocalBlock)
        ),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
    )


def _row_of(name: str, rows: list[LayerRow]) -> Callable[[nn.Module, object, Tensor], None]:
    def hook(module: nn.Module, _inputs: object, output: Tensor) -> None:
        rows.append(LayerRow(name, describe(module), tuple(output.shape[1:])))

    return hook


def describe(module: nn.Module) -> str:
    """A layer in the words of the paper's table."""
    if isinstance(module, ConvNorm):
        return f"{_kernel(module)}, {module.conv.out_channels}{_stride(module.conv.stride)}"
    if isinstance(module, nn.MaxPool3d):
        return f"max {_size(module.kernel_size)}{_stride(module.stride)}"
    if isinstance(module, SamePadMaxPool3d):
        return f"max {_size(module.kernel)}{_stride(module.stride)}"
    if isinstance(module, Mixed):
        branches = [module.branch0, module.branch1_reduce, module.branch1, module.branch2_reduce, module.branch2]
        c0, r1, c1, r2, c2 = (unit.conv.out_channels for unit in branches)
        text = f"inception: {c0}; {r1} > {c1}; {r2} > {c2}; pool > {module.branch3.conv.out_channels}"
        return text + (", non-local" if isinstance(module.nonlocal_block, NonLocalBlock) else "")
    if isinstance(module, nn.Sequential):
        return _describe_stage(module)
    pool = getattr(module, "pool", None)
    return "average over all, classifier" if pool is None else f"average {times(tuple(pool))}, classifier"


def _describe_stage(stage: nn.Sequential) -> str:
    """Blocks that are alike, together: ``[1x1x1, 64; 1x3x3, 64; 1x1x1, 256] x 3; non-local after 1``."""
    texts: dict[str, list[int]] = {}
    blocks: list[int] = []
    for place, block in enumerate(stage):
        assert isinstance(block, ResidualBlock)
        units = [
            unit for name, unit in block.named_children() if name.startswith("conv") and isinstance(unit, ConvNorm)
        ]
        text = "; ".join(f"{_kernel(unit)}, {unit.conv.out_channels}" for unit in units)
        texts.setdefault(text, []).append(place)
        if isinstance(block.nonlocal_block, NonLocalBlock):
            blocks.append(place)
    parts = [
        f"[{text}] x {len(places)}" + (f" (blocks {_list(places)})" if len(texts) > 1 else "")
        for text, places in texts.items()
    ]
    return " + ".join(parts) + (f"; non-local after {_list(blocks)}" if blocks else "")


def _kernel(unit: ConvNorm) -> str:
    return _size(unit.conv.kernel_size)


def _size(kernel: int | tuple[int, ...]) -> str:
    return "x".join(map(str, (kernel,) * 3 if isinstance(kernel, int) else kernel))


def _stride(stride: int | tuple[int, ...]) -> str:
    strides = (stride,) * 3 if isinstance(stride, int) else stride
    return "" if set(strides) == {1} else f", stride {','.join(map(str, strides))}"


def _list(places: list[int]) -> str:
    return ", ".join(map(str, places))
