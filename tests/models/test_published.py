"""The manifest's facts about published files, compared with a sheet of facts from the projects' own pages."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nlvid_cli.card.card import Card, UrlSource
from nlvid_cli.card.manifest import load_manifest

REACH = 160
"""Number of characters after a name in the sheet that contain its figures."""

CARDS = [card for card in load_manifest().models if any(source.kind == "url" for source in card.sources)]


@pytest.fixture
def sheet(shared: Path) -> str:
    return (shared / "reference" / "checkpoints.md").read_text(encoding="utf-8")


def _source(card: Card) -> UrlSource:
    (source,) = (source for source in card.sources if isinstance(source, UrlSource))
    return source


def _key(card: Card) -> str:
    """Return what identifies the file in the sheet: its published checksum, else its name or number."""
    source = _source(card)
    if card.name.endswith("pytorch-resnet3d-k400"):
        return "(pytorch_resnet3d_nl)."  # the weights are FAIR's, the figures are not
    if source.sha256_prefix or source.sha1:
        return str(source.sha256_prefix or source.sha1)
    *_, folder, file = urlsplit(source.url).path.split("/")
    return folder if file == "model_final.pkl" else file


def test_most_models_come_from_addresses() -> None:
    assert len(CARDS) == len(load_manifest().models) - 2  # i3d and tiny


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_figures_are_those_of_the_published_file(card: Card, sheet: str) -> None:
    behind = [sheet[found.end() :][:REACH] for found in re.finditer(re.escape(_key(card)), sheet)]
    numbers = [{float(number) for number in re.findall(r"\d+\.\d+", text)} for text in behind]
    wanted = {figure.value for figure in card.accuracy}
    assert any(wanted <= found for found in numbers), (wanted, behind)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_address_is_that_of_the_published_file(card: Card, sheet: str) -> None:
    source = _source(card)
    assert f"https://{urlsplit(source.url).hostname}/" in sheet
    if source.sha256_prefix:  # NAME | sum in a table, NAME_... sum in a sentence
        before = re.search(rf"(\S+?)(_\.\.\.)? (\| )?{source.sha256_prefix}", sheet)
        assert before is not None
        name = before[1].partition("_...")[0]
        file = source.url.rpartition("/")[2]
        assert file.startswith(f"{name}_"), (file, name)
        assert file.endswith(f"-{source.sha256_prefix}.pth")
        assert f"/{'c2d' if card.name.startswith('c2d') else 'i3d'}/" in source.url
    elif source.sha1:
        row = re.search(rf"\| (\S+) \| {source.sha1} ", sheet)
        assert row is not None
        assert source.url.endswith(f"/torch/models/{row[1]}-{source.sha1[:8]}.pth")
    else:
        assert _key(card) in sheet


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_name_describes_the_published_file(card: Card) -> None:
    """The name agrees with what the file's own name says about the network, in the words of its family."""
    network, file = card.name.partition(".")[0], _source(card).url.casefold()
    parts = network.split("-")
    assert ("c2d" in parts) == ("/c2d_" in file)
    if "lfb" in card.name:
        assert ("r101" in parts) == file.endswith("/103560426/model_final.pkl")
        return
    assert ("nl" in parts) == bool(re.search(r"_nonlocal_|_nln_|-nl-|_nl5_", file))
    assert ("nl10" in parts) == ("_nl10_" in file)
    assert ("r101" in parts) == ("r101" in file or "resnet101" in file)
    for variant, sign in {"dot": "dot-product", "gaussian": "-nl-gaussian", "dense": "dense", "heavy": "heavy"}.items():
        assert (variant in parts) == (sign in file)
    assert ("nopool" in parts) == ("nopool" in file)
    size = re.search(r"\d+x\d+", network)
    assert size is not None
    assert size[0] in file or "gluoncv" in card.name
