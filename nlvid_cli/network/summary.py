"""A network layer by layer, as in table 1 of "Non-local Neural Networks". It needs no weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nlvid_cli.card.card import Card
from nlvid_cli.network.build import build_on_meta
from nlvid_cli.network.nonlocal_block import NonLocalBlock
from nlvid_cli.network.units import Described, kernel_text, stride_text


@dataclass(frozen=True)
class LayerRow:
    """A top-level layer: its name, its description, and the size (channels, T, H, W) of its output."""

    name: str
    layer: str
    output: tuple[int, ...]


@dataclass(frozen=True)
class NetworkSummary:
    """A network at its test size.

    Attributes:
        input: Size (3, T, H, W) of one view.
        layers: Layers in the order of the forward pass.
        nonlocal_blocks: Names of the layers that a non-local block follows.
        parameters: Number of parameters, without the statistics of batch norm.
        multiply_adds: Multiply-adds of one view, in convolutions and in the products of the non-local blocks.
    """

    input: tuple[int, ...]
    layers: tuple[LayerRow, ...]
    nonlocal_blocks: tuple[str, ...]
    parameters: int
    multiply_adds: int


def summarise(card: Card) -> NetworkSummary:
    """Summarise the card's network. It is built without memory for weights."""
    network = build_on_meta(card.architecture, card.labels.count)
    crop = card.preprocess.crop
    view = torch.zeros(1, 3, card.sampling.frames, crop, crop, device="meta")
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
        rows.append(LayerRow(name, _description(module), tuple(output.shape[1:])))

    return hook


def _description(layer: nn.Module) -> str:
    if isinstance(layer, Described):
        return layer.description()
    if isinstance(layer, nn.MaxPool3d):
        return f"max {kernel_text(layer.kernel_size)}{stride_text(layer.stride)}"
    return ", ".join(map(_description, layer.children()))  # a layer that insert_nonlocal wrapped with its block
