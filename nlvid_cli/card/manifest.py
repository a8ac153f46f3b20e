"""``weights/manifest.toml``: every model that nlvid knows, and the labels that belong to them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from nlvid_cli.card.card import Card, card_from_dict
from nlvid_cli.card.templates import expand
from nlvid_cli.errors import ModelFileError, did_you_mean

MANIFEST_FILE = "manifest.toml"


@dataclass(frozen=True)
class Manifest:
    """The models that nlvid knows.

    Attributes:
        models: their cards, in the order of the file.
        default: names to try, in this order, where the user names no model.
    """

    models: tuple[Card, ...]
    default: tuple[str, ...]


def weights_folder() -> Path:
    """The folder with the manifest, the labels and the bundled weights.

    In a wheel it lies inside the package; in a checkout or an editable install, beside it.

    Raises:
        ModelFileError: neither place has a manifest.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / MANIFEST_FILE).is_file():
            return folder
    raise ModelFileError(f"{package}: the installation has no weights/{MANIFEST_FILE}; install nlvid-cli again")


def load_manifest() -> Manifest:
    """Read and check the manifest, once per process.

    Raises:
        ModelFileError: it is damaged, a card in it is not valid, or a name is used twice or leads nowhere.
    """
    return _read_manifest(weights_folder() / MANIFEST_FILE)


def find_card(name: str) -> Card:
    """The card of a model, by its name or one of its aliases.

    Raises:
        UnknownName: with the names that come closest.
    """
    names = _cards_by_name(load_manifest().models)
    if name in names:
        return names[name]
    raise did_you_mean("model", name, names, "`nlvid models list` shows them all")


def is_known(name: str) -> bool:
    """Whether a model has this very name or alias."""
    return any(name in (card.name, *card.aliases) for card in load_manifest().models)


def label_names(card: Card) -> tuple[str, ...]:
    """The class names of a model, in the order of its scores.

    Raises:
        ModelFileError: the card has neither names nor a file of them, the file cannot be read, or their
            number is not the one that the card states.
    """
    names = card.labels.names if card.labels.names is not None else _labels_from_file(card)
    if len(names) != card.labels.count:
        raise ModelFileError(
            f"{card.name}: the card states {card.labels.count} labels, but there are {len(names)}; "
            "use the label file that belongs to the model"
        )
    return names


def _labels_from_file(card: Card) -> tuple[str, ...]:
    name = card.labels.file
    if name is None:
        raise ModelFileError(f"{card.name}: the card has no label names and no label file in weights/labels")
    path = weights_folder() / "labels" / name
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path}: the labels of {card.name} cannot be read ({error})") from None


@lru_cache(maxsize=4)
def _read_manifest(path: Path) -> Manifest:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelFileError(f"{path}: the manifest cannot be read: {error}") from None
    templates = data.pop("templates", {})
    _check_keys(data, path)
    models = tuple(_card(entry, templates, path) for entry in data["models"])
    names = _cards_by_name(models)
    for name in data["default"]:
        if name not in names:
            raise ModelFileError(f"{path}: default names {name!r}, which is no model of the manifest")
    return Manifest(models=models, default=tuple(names[name].name for name in data["default"]))


def _card(entry: dict[str, Any], templates: dict[str, Any], path: Path) -> Card:
    where = f"{path}, {entry.get('name', 'a model without a name')}"
    return card_from_dict(expand(entry, templates, where), where)


def _check_keys(data: dict[str, Any], path: Path) -> None:
    kinds = {"default": str, "models": dict}
    for key in data.keys() ^ kinds.keys():
        raise ModelFileError(f"{path}: {key!r} is {'an unknown' if key in data else 'a missing'} key of the manifest")
    for key, kind in kinds.items():
        if not (isinstance(data[key], list) and all(isinstance(entry, kind) for entry in data[key])):
            raise ModelFileError(f"{path}: {key!r} must be a list of {'names' if kind is str else 'tables'}")


def _cards_by_name(models: tuple[Card, ...]) -> dict[str, Card]:
    """Cards by name and alias; each of them may be used once only."""
    names: dict[str, Card] = {}
    for card in models:
        for name in (card.name, *card.aliases):
            if name in names:
                raise ModelFileError(f"the manifest uses the name {name!r} for {names[name].name} and {card.name}")
            names[name] = card
    return names
