"""List what nlvid's cache holds of each model, and delete it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, is_known, load_manifest
from nlvid_cli.errors import did_you_mean
from nlvid_cli.models.store.cache import Slot, cache_folder, cached_path, compiled_folder, compiled_from, path_in
from nlvid_cli.models.store.lock import hold

_FILE_NAME = re.compile(r"\.?(?P<name>.+?)-(?P<key>[0-9a-f]{16})[.-].+")


@dataclass(frozen=True)
class Removed:
    """What was deleted of a model.

    Attributes:
        name: Name of the model.
        freed_bytes: Size of the deleted files.
        left: Files of the model that are not nlvid's to delete: in the Hub's cache, or part of the package.
    """

    name: str
    freed_bytes: int
    left: tuple[Path, ...]


@dataclass(frozen=True)
class CachedModel:
    """A model that is ready on this machine.

    Attributes:
        name: Name of the manifest's model, or of the file that was converted into the cache.
        size_bytes: Size of its ready file.
        path: Path to it.
    """

    name: str
    size_bytes: int
    path: Path


def cached_models() -> list[CachedModel]:
    """List all models that need no network: first those of the manifest, then what else is ready in the cache."""
    ready = [(card.name, cached_path(card)) for card in load_manifest().models]
    known = {path for _, path in ready}
    ready += [(slot.name, slot.ready) for slot in used_slots() if slot.ready.is_file() and slot.ready not in known]
    return [CachedModel(name, path.stat().st_size, path) for name, path in ready if path is not None]


def used_slots() -> list[Slot]:
    """List the slots of the cache that hold any file, even one from an old manifest, sorted by name."""
    return sorted({slot for path in _files() if (slot := _slot(path)) is not None}, key=lambda slot: slot.name)


def remove(name: str) -> Removed:
    """Delete what the cache holds of a model, under old keys too.

    These are weights, receipts, unfinished downloads, exported files, and what was compiled from exported files. Waits
    for another process that is busy with the model.

    Args:
        name: Name or alias of a model of the manifest, or of a file that was converted into the cache.

    Raises:
        UnknownName: Neither the manifest nor the cache has such a model.
        ModelUnavailable: The cache cannot be written.
    """
    card = find_card(name) if is_known(name) else None
    slots = [slot for slot in used_slots() if slot.name == (card.name if card else name)]
    if card is None and not slots:
        known = [known for other in load_manifest().models for known in (other.name, *other.aliases)]
        known += [slot.name for slot in used_slots()]
        raise did_you_mean("model", name, known, "`nlvid models list --cached` shows what is here")
    left = _files_elsewhere(card, slots)
    freed_bytes = sum(_empty(slot) for slot in slots)
    return Removed(card.name if card else name, freed_bytes, left)


def remove_all() -> list[Removed]:
    """Delete everything in the cache, also what belongs to no model, such as graphs compiled for a GPU."""
    removed = [remove(name) for name in dict.fromkeys(slot.name for slot in used_slots())]
    strays = [*_files(), *_files_within(compiled_folder())]
    if strays:
        removed.append(Removed("other files", sum(_delete(path) for path in strays), ()))
    return removed


def hub_repository_of(path: Path) -> str | None:
    """Return the repository that a file of the Hub's cache came from, by the name of its folder there."""
    folder = next((part for part in path.parts if part.startswith("models--")), None)
    return None if folder is None else "/".join(folder.split("--")[1:])


def _files() -> Iterator[Path]:
    """Yield the files of the cache, except the locks, which are empty and stay."""
    for folder in ("models", "downloads"):
        place = cache_folder() / folder
        if place.is_dir():
            yield from (path for path in place.iterdir() if path.is_file() or path.is_symlink())


def _slot(path: Path) -> Slot | None:
    match = _FILE_NAME.fullmatch(path.name)
    return None if match is None else Slot(match["name"], match["key"])


def _files_elsewhere(card: Card | None, slots: list[Slot]) -> tuple[Path, ...]:
    """Files that are used for the model and are outside the cache."""
    used = [path_in(slot) for slot in slots]
    if card is not None:
        used += [cached_path(card), *_in_the_hubs_cache(card)]
    return tuple(dict.fromkeys(path for path in used if path is not None and cache_folder() not in path.parents))


def _in_the_hubs_cache(card: Card) -> Iterator[Path | None]:
    for source in card.sources:
        if source.kind == "hub":
            from nlvid_cli.models.store.sources.hub import cached_file

            yield cached_file(source)


def _empty(slot: Slot) -> int:
    with hold(slot):
        files = [path for path in _files() if _slot(path) == slot]
        if slot.onnx in files and compiled_folder().is_dir():
            files += _files_within(compiled_from(slot.onnx))
        return sum(map(_delete, files))


def _files_within(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink()]


def _delete(path: Path) -> int:
    """Delete a file, or a link but not its target. Returns its size in bytes."""
    size_bytes = path.lstat().st_size
    path.unlink()
    return size_bytes
