"""Ready weights for a card: from this machine if they are here, else from the first source that has them.

The road on a hit ends in this file and imports no HTTP client; :mod:`nlvid_cli.models.store.acquire` is the
rest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, load_manifest
from nlvid_cli.errors import ModelError, ModelUnavailable
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.models.store.cache import cache_folder, cached_path, is_bundled, usable_now
from nlvid_cli.models.store.progress import Progress

__all__ = ["cache_folder", "cached_path", "fetch", "fetch_default", "open_checkpoint", "usable_now"]


def fetch(card: Card, progress: Progress | None = None, note: Callable[[str], None] | None = None) -> Path:
    """The ready file of a model, in nlvid's safetensors form; downloads and converts it on first use.

    Every source of the card is tried in order. A file is used only after its sha256 was found to be the one
    on the card. Two processes that ask for the same model at once make one download.

    Args:
        card: what to fetch.
        progress: told of the bytes of downloads.
        note: told, in a sentence each, of what the user may want to know meanwhile.

    Raises:
        ModelUnavailable: no source could be reached; says which hosts were tried, why each failed, and which
            models are usable right now.
        ChecksumMismatch: a source gave another file than the published one, and no other source has it.
        UnsafeFile: the file asks for something that nlvid does not execute.
        ModelFileError: the file is damaged, or not what the card says.
    """
    path = cached_path(card)
    if path is not None:
        return path
    from nlvid_cli.models.store.acquire import NothingReachable, acquire

    try:
        return acquire(card, progress, note)
    except NothingReachable as error:
        raise _with_advice(error, card) from error


def fetch_default(progress: Progress | None = None, note: Callable[[str], None] | None = None) -> tuple[Card, Path]:
    """The model to use where the user names none: of the manifest's ``default`` list, one fetched before goes first.

    A model that comes with nlvid waits for its turn; it is what remains when nothing can be fetched.

    Args:
        progress: told of the bytes of downloads.
        note: told of every model that is passed over, why, and how to insist on it.

    Returns:
        The card and its ready file.

    Raises:
        ModelError: none of the list can be had; the error is that of the first.
    """
    cards = [find_card(name) for name in load_manifest().default]
    for place, card in enumerate(cards):
        path = cached_path(card)
        if path is not None and not is_bundled(path):
            for passed in cards[:place]:
                _tell_passed_over(note, passed, "it is not on this machine yet", card)
            return card, path
    return _first_that_comes(cards, progress, note)


def _first_that_comes(
    cards: list[Card], progress: Progress | None, note: Callable[[str], None] | None
) -> tuple[Card, Path]:
    from nlvid_cli.models.store.acquire import acquire

    failures: list[tuple[Card, ModelError]] = []
    for card in cards:
        try:
            path = acquire(card, progress, note)
        except ModelError as error:
            failures.append((card, error))
            continue
        for passed, failure in failures:
            _tell_passed_over(note, passed, str(failure), card)
        return card, path
    if not failures:
        raise ModelUnavailable("the manifest names no default model; choose one with --model")
    card, failure = failures[0]
    raise _with_advice(failure, card)


def _tell_passed_over(note: Callable[[str], None] | None, passed: Card, reason: str, taken: Card) -> None:
    if note is not None:
        note(f"using {taken.name} and not {passed.name} ({reason}); --model {passed.name} insists on it")


def _with_advice(error: ModelError, card: Card) -> ModelError:
    """The error of a model that cannot be had, with what can be had instead; other errors say all themselves."""
    from nlvid_cli.models.store.acquire import NothingReachable

    if not isinstance(error, NothingReachable):
        return error
    usable = ", ".join(usable_now())
    models = f"usable right now: {usable} (choose with --model)" if usable else "no model is usable right now"
    return ModelUnavailable(
        f"{error}; {models}; check the network and the proxy settings, then run `nlvid models pull {card.name}`"
    )
