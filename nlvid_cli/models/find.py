"""Find a model by whatever the user names it by: the door of this room.

nlvid's own files contain their card. For any other file, the user says with ``as_name`` which model of the manifest has
its network, labels and protocol; the file is converted into the cache once. A file from the Hub or an address is not
trusted: it chooses no file name here, and nothing in it is executed.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, load_manifest
from nlvid_cli.errors import ModelError, ModelFileError, ModelUnavailable, UsageError
from nlvid_cli.models.naming import NameOrPath, file_name_of, kind_of, without_secrets
from nlvid_cli.models.progress import NoProgress, Progress
from nlvid_cli.models.store.cache import cached_path, is_bundled, usable_now

# A cached model needs no client, no lock and no reader of foreign files: functions that need them import them.

log = logging.getLogger(__name__)


def find_model(
    name_or_path: NameOrPath,
    as_name: str | None = None,
    progress: Progress | None = None,
    *,
    onnx: bool = False,
    newest: bool = False,
    any_head: bool = False,
) -> tuple[Card, Path]:
    """Return the card and the ready file of a model; fetch and convert it if need be.

    Args:
        name_or_path: Name, alias, local file, ``hf://`` or ``https://`` address.
        as_name: For a file without a card, the name of the model whose network, labels and protocol it has.
        progress: Receives download progress.
        onnx: Whether the file may be an ONNX file, which can be run but not converted or trained.
        newest: Whether to ask the server of an address for a newer file than the copy in the cache.
        any_head: Whether the head of a file without a card may be another one than that of ``as_name``, and is then
            left out, as for a base of training.

    Raises:
        UnknownName: No model has that name.
        UsageError: ``as_name`` is missing, or given for a model that has a card.
        ModelUnavailable: The model is not on this machine and could not be fetched.
        ModelError: The file is damaged, unsafe, not the published one, or does not fit the network of ``as_name``.
    """
    kind = kind_of(name_or_path)
    if kind == "name":
        card = find_model_card(name_or_path, as_name)
        return card, find_file(card, progress)
    as_card = None if as_name is None else find_card(as_name)
    text = os.fspath(name_or_path)
    from nlvid_cli.models.adopt import local_file, ready_model
    from nlvid_cli.models.model_file import read_card
    from nlvid_cli.models.onnx_file.read import is_onnx_name

    shown, file_name = (without_secrets(text), file_name_of(text)) if kind == "url" else (text, text)
    if not onnx and is_onnx_name(file_name):
        raise ModelFileError(f"{shown}: an ONNX file can only be run; give the model that it was exported from")
    if kind == "file":
        return ready_model(local_file(text), as_card, any_head)
    from nlvid_cli.models.store.fetch import fetch_address, fetch_hub_file

    if kind == "hub":
        return ready_model(fetch_hub_file(text, progress or NoProgress()), as_card, any_head)
    file = fetch_address(text, as_card, progress or NoProgress(), newest, any_head)
    return ready_model(file, as_card) if file.is_onnx else (read_card(file.path), file.path)


def find_model_card(name_or_path: NameOrPath, as_name: str | None = None, progress: Progress | None = None) -> Card:
    """Return the card that :func:`find_model` returns, without fetching a model of the manifest for it."""
    if kind_of(name_or_path) != "name":
        return find_model(name_or_path, as_name, progress, onnx=True)[0]
    card = find_card(os.fspath(name_or_path))
    if as_name is not None:
        raise UsageError(f"{card.name} is a model with a card of its own; --as is for files that have none")
    return card


def find_file(card: Card, progress: Progress | None = None) -> Path:
    """Return the ready file of a model of the manifest; fetch and convert it on first use.

    The sources of the card are tried in order. A file is used only if it has the published checksum. Two processes that
    ask for the same model at once make one download.

    Raises:
        ModelUnavailable: No source could be reached. Says which hosts were tried, why each of them failed, and which
            models are usable right now.
        ChecksumMismatch: A source returned another file than the published one, and no other source has it.
        UnsafeFile: The file asks for something that nlvid does not execute.
        ModelFileError: The file is damaged, or not what the card says.
    """
    path = cached_path(card)
    if path is not None:
        return path
    from nlvid_cli.models.store.fetch import NothingReachable, fetch_model

    try:
        return fetch_model(card, progress or NoProgress())
    except NothingReachable as error:
        raise _with_advice(error, card) from error


def find_default(progress: Progress | None = None) -> tuple[Card, Path]:
    """Choose the model for a command without ``--model``, and return its card and its ready file.

    The first of the manifest's ``default`` list that was fetched before is taken, else the first that can be fetched. A
    model that comes with nlvid waits for its turn: it remains when nothing can be fetched. Notes say which models were
    passed over, why, and how to insist on them.

    Raises:
        ModelError: None of the list is available; the error is that of the first.
    """
    cards = [find_card(name) for name in load_manifest().default]
    for place, card in enumerate(cards):
        path = cached_path(card)
        if path is not None and not is_bundled(path):
            for passed in cards[:place]:
                _note_passed_over(passed, "it is not on this machine yet", card)
            return card, path
    return _first_available(cards, progress or NoProgress())


def _first_available(cards: list[Card], progress: Progress) -> tuple[Card, Path]:
    from nlvid_cli.models.store.fetch import NothingReachable, fetch_model

    failures: list[tuple[Card, ModelError]] = []
    for card in cards:
        try:
            path = cached_path(card) or fetch_model(card, progress)
        except ModelError as error:
            failures.append((card, error))
            continue
        for passed, failure in failures:
            _note_passed_over(passed, str(failure), card)
        return card, path
    if not failures:
        raise ModelUnavailable("the manifest has no default model; choose a model with --model")
    card, failure = failures[0]
    raise _with_advice(failure, card) if isinstance(failure, NothingReachable) else failure


def _note_passed_over(passed: Card, reason: str, taken: Card) -> None:
    log.info("using %s and not %s (%s); --model %s insists on it", taken.name, passed.name, reason, passed.name)


def _with_advice(error: ModelUnavailable, card: Card) -> ModelUnavailable:
    """Return the error of an unreachable model, with what the user can do now."""
    usable = ", ".join(usable_now())
    models = f"usable right now: {usable} (choose with --model)" if usable else "no model is usable right now"
    return ModelUnavailable(
        f"{error}; {models}; check the network and the proxy settings, then run `nlvid models pull {card.name}`"
    )
