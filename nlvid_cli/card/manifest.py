"""The manifest ``weights/manifest.toml``: every known model, and its labels."""

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
    """The known models.

    Attributes:
        models: Their cards, in the order of the file.
        default: Names of the models to try, in order, when the user names none.
    """

    models: tuple[Card, ...]
    default: tuple[str, ...]


def weights_folder() -> Path:
    """Return the folder with the manifest, the labels and the bundled weights.

    It is inside the package in a wheel, and beside it in a checkout or an editable install.

    Raises:
        ModelFileError: Neither place has a manifest.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / MANIFEST_FILE).is_file():
            return folder
    raise ModelFileError(f"{package}: weights/{MANIFEST_FILE} is missing; reinstall nlvid-cli")


def load_manifest() -> Manifest:
    """Read and check the manifest, once per process.

    Raises:
        ModelFileError: It is damaged, has an invalid card, or uses a name twice or without a model.
    """
    return _read_manifest(weights_folder() / MANIFEST_FILE)


def find_card(name: str) -> Card:
    """Find the card of a model by its name or an alias.

    Raises:
        UnknownName: No model has this name; suggests the closest ones.
    """
    names = _cards_by_name(load_manifest().models)
    if name in names:
        return names[name]
    raise did_you_mean("model", name, names, "`nlvid models list` shows all models")


def is_known(name: str) -> bool:
    """Whether a model has exactly this name or alias."""
    return any(name in (card.name, *card.aliases) for card in load_manifest().models)


def label_names(card: Card) -> tuple[str, ...]:
    """Return the class names of a model, in the order of its scores.

    Raises:
        ModelFileError: The card has neither names nor a label file, the file cannot be read, or the number of names
            differs from the card's.
    """
    names = card.labels.names if card.labels.names is not None else _labels_from_file(card)
    if len(names) != card.labels.count:
        raise ModelFileError(
            f"{card.name}: the card states {card.labels.count} labels, but there are {len(names)} names; "
            "use the label file that belongs to the model"
        )
    return names


def _labels_from_file(card: Card) -> tuple[str, ...]:
    name = card.labels.file
    if name is None:
        raise ModelFileError(f"{card.name}: the card has neither label names nor a label file in weights/labels")
    path = weights_folder() / "labels" / name
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path}: cannot read the labels of {card.name} ({error})") from None


@lru_cache(maxsize=4)
def _read_manifest(path: Path) -> Manifest:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelFileError(f"{path}: cannot read the manifest: {error}") from None
    templates = data.pop("templates", {})
    _check_keys(data, path)
    models = tuple(_card(entry, templates, path) for entry in data["models"])
    names = _cards_by_name(models)
    for name in data["default"]:
        if name not in names:
            raise ModelFileError(f"{path}: default names {name!r}, which is not a model in the manifest")
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
    """Return the cards by name and alias, each of which must be unique."""
    names: dict[str, Card] = {}
    for card in models:
        for name in (card.name, *card.aliases):
            if name in names:
                raise ModelFileError(f"the manifest uses the name {name!r} for {names[name].name} and {card.name}")
            names[name] = card
    return names
