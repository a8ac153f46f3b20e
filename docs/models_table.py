"""Write the tables of models in docs/models.md and README.md, computed from the manifest.

    python docs/models_table.py

Each table stands between two comments, ``<!-- models -->`` and ``<!-- end of models -->``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, load_manifest
from nlvid_cli.network.build import build_network
from nlvid_cli.network.summary import summarise
from nlvid_cli.report.models import accuracy_figures, short_licence

DOCS = Path(__file__).parent
PAGE = DOCS / "models.md"
README = DOCS.parent / "README.md"
BEGIN, END = "<!-- models -->\n", "<!-- end of models -->\n"

HEADER = """\
| name (alias) | data set | top-1 / top-5 or mAP (%) | views, frames x step | licence | GFLOPs per view | MB |
|---|---|---|---|---|---|---|
"""
README_HEADER = """\
| model | data set | top-1 / top-5 or mAP (%) | MB | what for |
|---|---|---|---|---|
"""
README_MODELS = {
    "nl-i3d": "the default: 5 non-local blocks",
    "nl-i3d-r50-128x1.fair-k400": "the most accurate; from the authors of the paper, not for commercial use",
    "i3d": "a small download; the real weights that nlvid's own tests run",
    "nl-i3d-charades": "several actions at once, indoors",
    "tiny": "comes with nlvid and works offline, but knows only ten simple actions",
}
"""The models that the README names, and what each is for."""


def main() -> None:
    rows = {card.name: full_row(card) for card in load_manifest().models}
    replace_table(PAGE, HEADER + "".join(rows.values()))
    replace_table(README, README_HEADER + readme_rows(rows))


def replace_table(page: Path, table: str) -> None:
    """Put a table into a page, in place of the one between the two comments."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}{table}{END}{after}", encoding="utf-8")


def full_row(card: Card) -> str:
    """A row of the page of models."""
    return f"{row_without_cost(card)} {summarise(card).multiply_adds / 1e9:.1f} | {size_bytes(card) / 1e6:.0f} |\n"


def row_without_cost(card: Card) -> str:
    """The columns of a row that need no network."""
    aliases = "".join(f" (`{alias}`)" for alias in card.aliases)
    cells = [f"`{card.name}`{aliases}", _data_set(card), _accuracy(card), _views(card), short_licence(card)]
    return f"| {' | '.join(cells)} |"


def readme_rows(rows: Mapping[str, str]) -> str:
    """The rows of the README's table, made of those of the page of models, by the full names of the models."""
    chosen = []
    for name, purpose in README_MODELS.items():
        _, data_set, accuracy, *_, megabytes = rows[find_card(name).name].strip(" |\n").split(" | ")
        chosen.append(f"| {' | '.join([f'`{name}`', data_set, accuracy, megabytes, purpose])} |\n")
    return "".join(chosen)


def size_bytes(card: Card) -> int:
    """Size of a model's weights in fp32."""
    with torch.device("meta"):
        tensors = build_network(card).state_dict()
    return sum(4 * tensor.numel() for name, tensor in tensors.items() if not name.endswith("num_batches_tracked"))


def _accuracy(card: Card) -> str:
    metric = "" if card.accuracy[0].metric == "top-1" else f"{card.accuracy[0].metric} "
    return metric + accuracy_figures(card)


def _data_set(card: Card) -> str:
    """The name of the data set, without its part."""
    return card.accuracy[0].data_set.partition(" ")[0]


def _views(card: Card) -> str:
    """The views of the published test, and the frames of a clip."""
    protocol = card.accuracy[0].protocol
    views = next(part for part in protocol.split("; ") if " x " in part).partition(" of ")[0]
    return f"{views}, {card.sampling.frames} x {card.sampling.step}"


if __name__ == "__main__":
    main()
