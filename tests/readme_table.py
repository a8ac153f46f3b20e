"""The table of models in the README, computed from the manifest: ``python -m tests.readme_table`` prints it."""

from __future__ import annotations

import torch

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.network.build import build_network
from nlvid_cli.network.summary import summarise
from nlvid_cli.report.models import accuracy_figures, short_licence

HEADER = """\
| name (alias) | data set | top-1 / top-5 or mAP (%) | views, frames x step | GFLOPs per view | MB | licence |
|---|---|---|---|---|---|---|"""


def table() -> str:
    """The whole table in Markdown."""
    return "\n".join([HEADER, *map(_row, load_manifest().models)])


def _row(card: Card) -> str:
    metrics = "" if card.accuracy[0].metric == "top-1" else f"{card.accuracy[0].metric} "
    cells = [
        f"`{card.name}`" + "".join(f" (`{alias}`)" for alias in card.aliases),
        _data_set(card),
        metrics + accuracy_figures(card),
        _views(card),
        f"{summarise(card).multiply_adds / 1e9:.1f}",
        f"{_size_bytes(card) / 1e6:.0f}",
        short_licence(card),
    ]
    return f"| {' | '.join(cells)} |"


def _data_set(card: Card) -> str:
    """Without the part of it that the test used."""
    return card.accuracy[0].data_set.partition(" ")[0]


def _views(card: Card) -> str:
    """Of the published test, and the frames of a clip of nlvid's."""
    protocol = card.accuracy[0].protocol
    views = next(part for part in protocol.split("; ") if " x " in part).partition(" of ")[0]
    return f"{views}, {card.sampling.frames} x {card.sampling.step}"


def _size_bytes(card: Card) -> int:
    with torch.device("meta"):
        tensors = build_network(card).state_dict()
    return sum(4 * tensor.numel() for name, tensor in tensors.items() if not name.endswith("num_batches_tracked"))


if __name__ == "__main__":
    print(table())
