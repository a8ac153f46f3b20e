"""What nlvid's cache holds of each model, and how to be rid of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, is_known, load_manifest
from nlvid_cli.errors import did_you_mean
from nlvid_cli.models.store.cache import Slot, cache_folder, cached_path, compiled_folder, compiled_from, path_in
from nlvid_cli.models.store.lock import hold

_NAMED = re.compile(r"\.?(?P<name>.+?)-(?P<key>[0-9a-f]{16})[.-].+")


@dataclass(frozen=True)
class Removed:
    """What became of a model.

    Attributes:
        name: of the model.
        freed_bytes: size of what was deleted.
        left: files of the model that are not nlvid's to delete: in the Hub's cache, or part of the package.
    """

    name: str
    freed_bytes: int
    left: tuple[Path, ...]


@dataclass(frozen=True)
class Here:
    """A model that is ready on this machine.

    Attributes:
        name: of the manifest's model, or of the file that was converted into the cache.
        size_bytes: of its ready file.
        path: where that lies.
    """

    name: str
    size_bytes: int
    path: Path


def models_here() -> list[Here]:
    """All models that need no network: those of the manifest, and then what else is ready in the cache."""
    ready = [(card.name, cached_path(card)) for card in load_manifest().models]
    known = {path for _, path in ready}
    ready += [(slot.name, slot.ready) for slot in held_slots() if slot.ready.is_file() and slot.ready not in known]
    return [Here(name, path.stat().st_size, path) for name, path in ready if path is not None]


def held_slots() -> list[Slot]:
    """The places of the cache that hold anything, be it an old one, in the order of their names."""
    return sorted({slot for path in _files() if (slot := _slot(path)) is not None}, key=lambda slot: slot.name)


def remove(name: str, note: Callable[[str], None]) -> Removed:
    """Delete what the cache holds of a model, under old keys too.

    That is weights, receipts, unfinished downloads, exported files, and what was compiled from these.

    Waits for another process that is busy with the model.

    Args:
        name: name or alias of a model of the manifest, or of a file that was converted into the cache.
        note: told of the wait.

    Raises:
        UnknownName: the manifest and the cache know no such model.
        ModelUnavailable: the cache cannot be written.
    """
    card = find_card(name) if is_known(name) else None
    slots = [slot for slot in held_slots() if slot.name == (card.name if card else name)]
    if card is None and not slots:
        known = [known for other in load_manifest().models for known in (other.name, *other.aliases)]
        known += [slot.name for slot in held_slots()]
        raise did_you_mean("model", name, known, "`nlvid models list --cached` shows what is here")
    left = _left(card, slots)
    freed_bytes = sum(_empty(slot, note) for slot in slots)
    return Removed(card.name if card else name, freed_bytes, left)


def remove_all(note: Callable[[str], None]) -> list[Removed]:
    """The same for all that the cache holds, also for what belongs to no model, such as graphs compiled for a GPU."""
    removed = [remove(name, note) for name in dict.fromkeys(slot.name for slot in held_slots())]
    strays = [*_files(), *_files_within(compiled_folder())]
    if strays:
        removed.append(Removed("other files", sum(_delete(path) for path in strays), ()))
    return removed


def hub_repository_of(path: Path) -> str | None:
    """The repository that a file of the Hub's cache came from, which is in the name of a folder there."""
    folder = next((part for part in path.parts if part.startswith("models--")), None)
    return None if folder is None else "/".join(folder.split("--")[1:])


def _files() -> Iterator[Path]:
    """The files of the cache, but for the locks, which are empty and stay."""
    for folder in ("models", "downloads"):
        place = cache_folder() / folder
        if place.is_dir():
            yield from (path for path in place.iterdir() if path.is_file() or path.is_symlink())


def _slot(path: Path) -> Slot | None:
    match = _NAMED.fullmatch(path.name)
    return None if match is None else Slot(match["name"], match["key"])


def _left(card: Card | None, slots: list[Slot]) -> tuple[Path, ...]:
    """Files that are used for the model and lie outside the cache."""
    used = [path_in(slot) for slot in slots]
    if card is not None:
        used += [cached_path(card), *_in_the_hubs_cache(card)]
    return tuple(dict.fromkeys(path for path in used if path is not None and cache_folder() not in path.parents))


def _in_the_hubs_cache(card: Card) -> Iterator[Path | None]:
    for source in card.sources:
        if source.kind == "hub":
            from nlvid_cli.models.store.sources.hub import cached_file

            yield cached_file(source)


def _empty(slot: Slot, note: Callable[[str], None]) -> int:
    with hold(slot, note):
        files = [path for path in _files() if _slot(path) == slot]
        if slot.onnx in files and compiled_folder().is_dir():
            files += _files_within(compiled_from(slot.onnx))
        return sum(map(_delete, files))


def _files_within(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink()]


def _delete(path: Path) -> int:
    """Delete a file, and not what a link leads to; gives its size in bytes."""
    size_bytes = path.lstat().st_size
    path.unlink()
    return size_bytes
