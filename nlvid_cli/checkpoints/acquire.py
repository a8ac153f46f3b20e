"""What happens when a model is not on this machine: try its sources, check, convert, keep."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nlvid_cli.checkpoints.cache import (
    READY_FORMAT,
    cache_folder,
    cached_path,
    lock_path,
    ready_path,
    write_receipt,
)
from nlvid_cli.checkpoints.card import Card
from nlvid_cli.checkpoints.formats import read_foreign
from nlvid_cli.checkpoints.model_file import read_card, write_checkpoint
from nlvid_cli.checkpoints.progress import NoProgress, Progress
from nlvid_cli.checkpoints.sources import obtain
from nlvid_cli.checkpoints.sources.common import Job, Obtained, SourceError
from nlvid_cli.errors import ModelError, ModelUnavailable


class NothingReachable(ModelUnavailable):
    """No source of a model could be reached; the message says why for each, and not yet what to do."""


def acquire(card: Card, progress: Progress | None, note: Callable[[str], None] | None) -> Path:
    """Fetch a model under its lock; arguments and errors are those of ``fetch.fetch``."""
    job = Job(card, progress or NoProgress(), note or (lambda _: None))
    try:
        for folder in ("models", "downloads", "locks"):
            (cache_folder() / folder).mkdir(parents=True, exist_ok=True)
        with _lock(job):
            return cached_path(card) or _from_first_source(job)
    except OSError as error:
        raise ModelUnavailable(
            f"{card.name}: the cache {cache_folder()} cannot be used ({error.strerror or error}); "
            "free some space there, or set NLVID_CACHE to another folder"
        ) from error


@contextmanager
def _lock(job: Job) -> Iterator[None]:
    """Hold the lock of the model; say so if another process has it first."""
    lock = FileLock(lock_path(job.card))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        job.note(f"another nlvid is fetching {job.card.name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _from_first_source(job: Job) -> Path:
    """The first source that gives the right file; an error that tells of all of them if none does."""
    if not job.card.sources:
        raise ModelUnavailable(f"{job.card.name}: its card names no place to fetch it from; give the path of its file")
    unreachable: list[str] = []
    unusable: list[ModelError] = []
    for source in job.card.sources:
        try:
            return _keep(obtain(source, job), job.card)
        except SourceError as error:
            unreachable.append(f"{error.host}: {error.reason}")
        except ModelError as error:
            unusable.append(error)
    if unusable:
        more = "".join(f"; {reason}" for reason in unreachable)
        raise type(unusable[0])(f"{job.card.name}: {unusable[0]}{more}")
    raise NothingReachable(f"{job.card.name}: no source of this model could be reached: {'; '.join(unreachable)}")


def _keep(obtained: Obtained, card: Card) -> Path:
    """Make the checked file of a source the ready file of the cache, converting it if need be."""
    ready = ready_path(card)
    try:
        if card.format != READY_FORMAT:
            write_checkpoint(ready, card, read_foreign(card.format, obtained.path))
            return ready
        read_card(obtained.path)  # a file without a card must fail now, not at every use
        if not obtained.disposable:
            write_receipt(card, obtained.path, obtained.sha256)
            return obtained.path
        os.replace(obtained.path, ready)
        return ready
    finally:
        if obtained.disposable:
            obtained.path.unlink(missing_ok=True)
