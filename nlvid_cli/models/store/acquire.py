"""What happens when a model is not on this machine: try its sources, check, convert, keep."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nlvid_cli.card.card import Card
from nlvid_cli.errors import ModelError, ModelUnavailable
from nlvid_cli.models.model_file import read_card
from nlvid_cli.models.store.cache import READY_FORMAT, cached_path, slot_of, write_receipt
from nlvid_cli.models.store.lock import hold
from nlvid_cli.models.store.progress import NoProgress, Progress
from nlvid_cli.models.store.sources import obtain
from nlvid_cli.models.store.sources.common import Job, Obtained, SourceError


class NothingReachable(ModelUnavailable):
    """No source of a model could be reached; the message says why for each, and not yet what to do."""


def acquire(card: Card, progress: Progress | None, note: Callable[[str], None] | None) -> Path:
    """Fetch a model under its lock; arguments and errors are those of ``fetch.fetch``."""
    job = Job(slot_of(card), progress or NoProgress(), note or (lambda _: None))
    with hold(job.slot, job.note):
        return cached_path(card) or _from_first_source(card, job)


def convert_file(path: Path, card: Card, ready: Path) -> None:
    """Write the weights of another program's file as nlvid's own, with the card inside.

    Raises:
        UnsafeFile: the file asks for something that nlvid does not execute.
        ModelError: it is damaged, or is not of the card's network.
    """
    from nlvid_cli.models.convert import convert

    convert(path, card, ready)


def _from_first_source(card: Card, job: Job) -> Path:
    """The first source that gives the right file; an error that tells of all of them if none does."""
    if not card.sources:
        raise ModelUnavailable(f"{card.name}: its card names no place to fetch it from; give the path of its file")
    unreachable: list[str] = []
    unusable: list[ModelError] = []
    for source in card.sources:
        try:
            return _keep(obtain(source, job), card, job)
        except SourceError as error:
            unreachable.append(f"{error.host}: {error.reason}")
        except ModelError as error:
            unusable.append(error)
    if unusable:
        more = "".join(f"; {reason}" for reason in unreachable)
        raise type(unusable[0])(f"{card.name}: {unusable[0]}{more}")
    raise NothingReachable(f"{card.name}: no source of this model could be reached: {'; '.join(unreachable)}")


def _keep(obtained: Obtained, card: Card, job: Job) -> Path:
    """Make the checked file of a source the ready file of the cache, converting it if need be."""
    ready = job.slot.ready
    try:
        if card.format != READY_FORMAT:
            convert_file(obtained.path, card, ready)
            return ready
        read_card(obtained.path)  # a file without a card must fail now, not at every use
        if not obtained.disposable:
            write_receipt(job.slot, obtained.path, obtained.sha256)
            return obtained.path
        os.replace(obtained.path, ready)
        return ready
    finally:
        if obtained.disposable:
            obtained.path.unlink(missing_ok=True)
