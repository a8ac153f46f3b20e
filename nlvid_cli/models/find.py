"""A model by whatever a user names it by, ready to use; see :mod:`nlvid_cli.models.reference`.

nlvid's own files bring their card. For any other file the user says, ``as_name``, which model of the manifest has
its network, its labels and its protocol; it is converted into the cache once. What comes from the Hub or an address is
not trusted: it names no file here, and nothing in it is executed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nlvid_cli.card.card import Card, card_to_json
from nlvid_cli.card.manifest import find_card, load_manifest
from nlvid_cli.errors import ModelFileError, UnsafeFile, UsageError
from nlvid_cli.models.fetch import fetch
from nlvid_cli.models.model_file import NoCard, read_card
from nlvid_cli.models.onnx_file.contract import card_in, fit_card
from nlvid_cli.models.onnx_file.read import is_onnx_name, read_onnx
from nlvid_cli.models.reference import (
    Reference,
    file_name_of,
    kind_of,
    parse_hub_reference,
    without_secrets,
)
from nlvid_cli.models.store.arrival import arrived, delete, move_etag, newer_arrived, obtained, tell_copy
from nlvid_cli.models.store.cache import Slot, key_of, published_sums, safe_name
from nlvid_cli.models.store.checksums import Published, sha256_of, sums_of
from nlvid_cli.models.store.progress import NoProgress, Progress

if TYPE_CHECKING:
    from nlvid_cli.models.formats.common import Tensors
    from nlvid_cli.models.store.sources.common import Job

Note = Callable[[str], None]


@dataclass(frozen=True)
class _Found:
    """A file that somebody else may have made.

    Attributes:
        shown: how messages name it.
        name: its own name.
        path: where it lies.
    """

    shown: str
    name: str
    path: Path


def find_model(
    reference: Reference,
    as_name: str | None = None,
    progress: Progress | None = None,
    note: Note | None = None,
    *,
    onnx: bool = False,
    newest: bool = False,
) -> tuple[Card, Path]:
    """The card and the ready file of a model, whatever it is named by; see the top of this file.

    Args:
        reference: as the user gave it; a path object always means a file.
        as_name: for a file without a card: name or alias of the model whose network, labels and protocol it has.
        progress: told of the bytes of downloads.
        note: told, in a sentence each, of what the user may want to know meanwhile.
        onnx: whether the file may be an ONNX file, which can be run, and nothing else.
        newest: whether to ask an address again of which there is a copy.

    Raises:
        UnknownName: no model has that name.
        UsageError: ``as_name`` is missing where it is needed, or given where a card is there already.
        ModelError: the file cannot be had, is damaged, or does not fit the network of ``as_name``.
    """
    kind = kind_of(reference)
    if kind == "name":
        card = find_model_card(reference, as_name)
        return card, fetch(card, progress, note)
    entry = None if as_name is None else find_card(as_name)
    text = os.fspath(reference)
    if not onnx and is_onnx_name(file_name_of(text) if kind == "url" else text):
        raise ModelFileError(
            f"{without_secrets(text) if kind == 'url' else text}: an ONNX file can be run, but not be worked on; give "
            "the model that it was exported from"
        )
    progress, note = progress or NoProgress(), note or (lambda _: None)
    if kind == "url":
        return _use_address(text, entry, progress, note, newest)
    found = _local_file(text) if kind == "file" else _hub_file(text, progress, note)
    return _use_file(found, entry, note)


def find_model_card(
    reference: Reference, as_name: str | None = None, progress: Progress | None = None, note: Note | None = None
) -> Card:
    """The card alone, as :func:`find_model` finds it; a model that has a name is not fetched for it."""
    if kind_of(reference) != "name":
        return find_model(reference, as_name, progress, note, onnx=True)[0]
    card = find_card(os.fspath(reference))
    if as_name is not None:
        raise UsageError(f"{card.name} is a model with a card of its own; --as is for files that have none")
    return card


def adopt(entry: Card, file_name: str, path: Path) -> Card:
    """The card for somebody's file that has the network of ``entry``.

    A file that has a sum published for the entry is that very model. Of any other, nobody knows how accurate it is;
    the licence of the entry stays on it, since its weights may come from there.

    Args:
        entry: the model whose network, labels and protocol the file has.
        file_name: its name.
        path: where it lies.
    """
    for source in entry.sources:
        published = Published(source.member_sha256) if source.kind == "index" else published_sums(source)
        if published and sums_of(path, published).fit(published):
            return entry
    return replace(
        entry,
        name=_stem(file_name),
        aliases=(),
        summary=f"{safe_name(file_name)}, read as {entry.name}",
        origin=f"a file with the sha256 {sha256_of(path)}, its network, labels and protocol given as {entry.name}",
        sources=(),
        accuracy=(),
    )


def _use_file(found: _Found, entry: Card | None, note: Note) -> tuple[Card, Path]:
    """Card and ready file of a file on this machine, which stays where it is."""
    card = _own_card(found, entry)
    if card is not None:
        return card, found.path
    entry = _required(entry, found)
    if is_onnx_name(found.name):
        return _adopted_onnx(found, entry, note), found.path
    slot = Slot(_stem(found.name), key_of(sha256_of(found.path), card_to_json(entry)))
    return _converted(found, entry, slot, note)


def _use_address(url: str, entry: Card | None, progress: Progress, note: Note, newest: bool) -> tuple[Card, Path]:
    """Card and ready file of what is behind an address; what came stays until it has been made ready."""
    from nlvid_cli.models.store.lock import hold
    from nlvid_cli.models.store.sources.common import Job

    name = file_name_of(url)
    arrival = Slot(_stem(name), key_of(url))
    is_onnx = is_onnx_name(name)
    slot = arrival if entry is None or is_onnx else Slot(arrival.name, key_of(url, card_to_json(entry)))
    kept = slot.onnx if is_onnx else slot.ready
    if kept.is_file() and not newest:
        tell_copy(url, kept, note)
    else:
        with hold(arrival, note):
            if newest or not kept.is_file():  # another process may have brought it while this one waited
                _bring(url, entry, kept, Job(arrival, progress, note), newest)
    return _use_file(_Found(without_secrets(url), name, kept), entry, note) if is_onnx else (read_card(kept), kept)


def _bring(url: str, entry: Card | None, kept: Path, job: Job, newest: bool) -> None:
    """Fetch what is behind an address, unless what lies here is the newest, and make it ready at its place."""
    copy = kept if kept.is_file() else job.slot.download(file_name_of(url))
    if copy.is_file() and not newest:
        tell_copy(url, copy, job.note)
    elif copy.is_file() and not newer_arrived(url, copy, job) and copy == kept:
        return
    found = _Found(without_secrets(url), file_name_of(url), arrived(url, job))
    try:
        _make_ready(found, entry, kept)
    except (ModelFileError, UnsafeFile):
        delete(found.path)
        raise
    move_etag(found.path, kept)
    delete(found.path)


def _make_ready(found: _Found, entry: Card | None, kept: Path) -> None:
    """Move or convert a file that has arrived to its place; what was there is there until then."""
    if is_onnx_name(found.name):
        read_onnx(found.path)
    elif _own_card(found, entry) is None:
        _convert(found, _required(entry, found), kept)
        return
    os.replace(found.path, kept)


def _adopted_onnx(found: _Found, entry: Card, note: Note) -> Card:
    """The card for somebody's ONNX file, with the frames and the crop that the file fixes."""
    card = fit_card(adopt(entry, found.name, found.path), found.path)
    sizes = [(c.sampling.frames, c.preprocess.crop) for c in (entry, card)]
    if sizes[0] != sizes[1]:
        (frames, crop), (own_frames, own_crop) = sizes
        note(
            f"{found.shown} takes clips of {own_frames} frames of {own_crop} x {own_crop}, and gets these, instead of "
            f"{frames} frames of {crop} x {crop} as {entry.name}"
        )
    return card


def _hub_file(text: str, progress: Progress, note: Note) -> _Found:
    from nlvid_cli.models.store.sources.common import Job

    source = parse_hub_reference(text)
    name = PurePosixPath(source.path).name
    return _Found(text, name, obtained(source, text, Job(Slot(_stem(name), key_of(text)), progress, note)).path)


def _local_file(text: str) -> _Found:
    path = Path(text)
    if path.is_dir():
        raise ModelFileError(f"{text}: a folder, not a model file; name the file in it")
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise ModelFileError(f"{text}: no such model file") from None
    except OSError as error:
        raise ModelFileError(f"{text}: the model file cannot be read ({error.strerror})") from None
    return _Found(text, path.name, path)


def _own_card(found: _Found, entry: Card | None) -> Card | None:
    """The card in a file that nlvid wrote; None: it is a file of somebody else."""
    card = card_in(read_onnx(found.path), found.shown) if is_onnx_name(found.name) else _card_of_safetensors(found)
    if entry is not None and card is not None:
        raise UsageError(f"{found.shown}: the file brings a model card of its own ({card.name}); leave --as out")
    return card


def _card_of_safetensors(found: _Found) -> Card | None:
    if not found.name.endswith(".safetensors") and not _looks_like_safetensors(found.path):
        return None
    try:
        return read_card(found.path)
    except NoCard:
        return None


def _looks_like_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # the length of the header in 8 bytes, and the header, which is JSON


def _required(entry: Card | None, found: _Found) -> Card:
    if entry is not None:
        return entry
    if is_onnx_name(found.name):
        raise UsageError(
            f"{found.shown}: an ONNX file without a model card; say whose network it has with --as NAME (for example "
            "--as nl-i3d-r50-32x2.gluoncv-k400; `nlvid models list` shows all)"
        )
    from nlvid_cli.models.formats import read_foreign

    family, tensors = read_foreign(found.path)
    raise UsageError(
        f"{found.shown}: a checkpoint in the form of {family}, without a model card; say whose network it has with "
        f"--as NAME ({_likely(found.name, family, tensors)}; `nlvid models list` shows all)"
    )


def _likely(file_name: str, family: str, tensors: Tensors) -> str:
    """Which models have such a network; the one that publishes a file of this name comes first."""
    from nlvid_cli.models.convert import fitting_models

    published = {card.name for card in load_manifest().models if file_name in _published_names(card)}
    names = sorted(fitting_models(tensors, family), key=lambda name: name not in published)
    if not names:
        return "but its tensors fit none that nlvid knows"
    others = f" and of {len(names) - 1} more" if len(names) > 1 else ""
    return f"its tensors are those of {names[0]}{others}"


def _published_names(card: Card) -> list[str]:
    return [file_name_of(source.url) for source in card.sources if source.kind == "url"]


def _converted(found: _Found, entry: Card, slot: Slot, note: Note) -> tuple[Card, Path]:
    """The file in nlvid's own form, in the cache; it is converted there once."""
    from nlvid_cli.models.store.lock import hold

    if not slot.ready.is_file():
        with hold(slot, note):
            if not slot.ready.is_file():
                _convert(found, entry, slot.ready)
    return read_card(slot.ready), slot.ready


def _convert(found: _Found, entry: Card, ready: Path) -> None:
    from nlvid_cli.models.store.acquire import convert_file

    convert_file(found.path, adopt(entry, found.name, found.path), ready)


def _stem(file_name: str) -> str:
    return safe_name(PurePosixPath(file_name).stem)
