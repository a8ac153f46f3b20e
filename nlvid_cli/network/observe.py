"""Run a network and keep the last feature map, and the queries and keys of non-local blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from torch import Tensor, nn

from nlvid_cli.network.nonlocal_block import NonLocalBlock, block_of


@dataclass
class Observed:
    """One forward pass.

    Attributes:
        logits: (N, classes, T', H', W'), the output of the network.
        features: (N, channels, T', H', W'), the input of the head.
        attention: By name of a block, its queries and keys; see :meth:`NonLocalBlock.queries_and_keys`.
    """

    logits: Tensor = field(init=False)
    features: Tensor = field(init=False)
    attention: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


def observe(network: nn.Module, clips: Tensor, blocks: Collection[str] = ()) -> Observed:
    """Run a network once.

    Several threads may run the same network at the same time.

    Args:
        network: As ``build_network`` returns it, or a form of it.
        clips: (N, 3, T, H, W).
        blocks: Names of non-local blocks, as in the card.
    """
    observed = Observed()

    def keep_features(x: Tensor) -> None:
        observed.features = x

    def keep_attention(name: str, block: NonLocalBlock) -> Callable[[Tensor], None]:
        def keep(x: Tensor) -> None:
            observed.attention[name] = block.queries_and_keys(x)

        return keep

    handles = [_before(network.get_submodule("head"), keep_features)]
    for name in blocks:
        block = block_of(network, name)
        handles.append(_before(block, keep_attention(name, block)))
    try:
        observed.logits = network(clips)
    finally:
        for remove in handles:
            remove()
    return observed


def _before(module: nn.Module, keep: Callable[[Tensor], None]) -> Callable[[], None]:
    """Call ``keep`` with each input of a module. Returns the function that stops it."""
    thread = threading.get_ident()

    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if threading.get_ident() == thread:  # threads share the module, and each adds its own hooks
            keep(inputs[0])

    return module.register_forward_pre_hook(hook).remove
