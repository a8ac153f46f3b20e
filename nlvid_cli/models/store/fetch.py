"""Fetch a model that is not on this machine: bytes from outside, checked, converted, and kept in the cache.

A model of the manifest comes from the first of its sources that has the right file. A file behind an address is fetched
once, and again if the user asks for the newest and the server has another one. Its ETag (RFC 9110) is stored beside the
copy, so that asking again need not be a download. All of this happens under the model's lock.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from nlvid_cli.card.card import Card, UrlSource
from nlvid_cli.errors import ModelError, ModelFileError, ModelUnavailable, UnsafeFile
from nlvid_cli.models.adopt import NamedFile, convert_as, identity_as, own_card, require_as
from nlvid_cli.models.model_file import read_card
from nlvid_cli.models.naming import file_name_of, hub_source, without_secrets
from nlvid_cli.models.onnx_file.read import read_onnx
from nlvid_cli.models.other_files import require_model_file
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.cache import READY_FORMAT, Slot, cached_path, slot_of, slot_of_file, write_receipt
from nlvid_cli.models.store.lock import hold
from nlvid_cli.models.store.sources import fetch
from nlvid_cli.models.store.sources.common import Fetched, SourceError

log = logging.getLogger(__name__)


class NothingReachable(ModelUnavailable):
    """No source of a model could be reached. The message says why for each, but not yet what to do."""


# ---- a model of the manifest -----------------------------------------------------------------------------------------


def fetch_model(card: Card, progress: Progress) -> Path:
    """Return the ready file of a model, fetched by this process or by another one meanwhile.

    Raises:
        NothingReachable, ModelError: As :func:`nlvid_cli.models.find.find_file`, without its advice.
    """
    slot = slot_of(card)
    with hold(slot):
        return cached_path(card) or _fetch_from_sources(card, slot, progress)


def _fetch_from_sources(card: Card, slot: Slot, progress: Progress) -> Path:
    """Take the first source with the right file, or raise an error that says what happened to each of them."""
    if not card.sources:
        raise ModelUnavailable(f"{card.name}: its card names no source to fetch it from; give the path to its file")
    unreachable: list[str] = []
    unusable: list[ModelError] = []
    for source in card.sources:
        try:
            return _keep(fetch(source, slot, progress), card, slot)
        except SourceError as error:
            unreachable.append(str(error))
        except ModelError as error:
            unusable.append(error)
    if unusable:  # a wrong or damaged file is worse news than a host that did not answer
        raise type(unusable[0])("; ".join([f"{card.name}: {unusable[0]}", *unreachable]))
    raise NothingReachable(f"{card.name}: no source of this model could be reached: {'; '.join(unreachable)}")


def _keep(fetched: Fetched, card: Card, slot: Slot) -> Path:
    """Make the checked file of a source the ready file of the cache, converted if need be."""
    try:
        if card.format != READY_FORMAT:
            from nlvid_cli.models.convert import convert  # imports torch, which an ONNX file does without

            return convert(fetched.path, card, slot.ready)
        read_card(fetched.path)  # a file without a card must fail now, not at every use
        if not fetched.disposable:
            write_receipt(slot, fetched.path, fetched.sha256)
            return fetched.path
        os.replace(fetched.path, slot.ready)
        return slot.ready
    finally:
        if fetched.disposable:
            fetched.path.unlink(missing_ok=True)


# ---- a file on the Hub or behind an address --------------------------------------------------------------------------


def fetch_hub_file(address: str, progress: Progress) -> NamedFile:
    """Return the file at an ``hf://`` address, in the Hub's cache.

    Raises:
        UsageError: The address is not of the form ``hf://owner/repo[@revision]/path``.
        ModelUnavailable: The file could not be fetched.
    """
    source = hub_source(address)
    file_name = PurePosixPath(source.path).name
    with _source_errors(address):
        fetched = fetch(source, slot_of_file(file_name, address), progress)
    return NamedFile(address, file_name, fetched.path)


def fetch_file(source: UrlSource, progress: Progress) -> NamedFile:
    """Return a file behind an address as it is there. It is fetched once, and stays among the downloads of the cache.

    Raises:
        ModelUnavailable: The file could not be fetched.
        ChecksumMismatch: The server has another file than the published one.
        ModelFileError: The file is a page, a pointer or an archive.
    """
    name = file_name_of(source.url)
    slot = slot_of_file(name, source.url)
    path = slot.download(name)
    with hold(slot):
        if not path.is_file():
            _download(source, slot, progress)
        try:
            require_model_file(path, without_secrets(source.url))
        except ModelFileError:
            _delete(path)  # such as a page with an error, which the server may not send again
            raise
    return NamedFile(without_secrets(source.url), name, path)


def fetch_address(
    url: str, as_card: Card | None, progress: Progress, newest: bool, any_head: bool = False
) -> NamedFile:
    """Return what is behind an address, made ready: an ONNX file as it is, anything else in nlvid's own form.

    Args:
        url: The address.
        as_card: The model whose network the file has, if the file has no card.
        progress: Receives download progress.
        newest: Whether to ask the server for a newer file than the copy that is here.
        any_head: Whether its head may be another one than that of ``as_card``, and is then left out.

    Raises:
        UsageError: The file has no card and ``as_card`` is None, or it has one and ``as_card`` is given. The download
            is kept for the next call.
        ModelUnavailable: The file could not be fetched.
        ModelError: The file is damaged, unsafe, or does not fit the network of ``as_card``.
    """
    name = file_name_of(url)
    slot = slot_of_file(name, url)
    file = NamedFile(without_secrets(url), name, slot.download(name))
    if file.is_onnx:
        kept = slot.onnx
    else:
        kept = slot.ready if as_card is None else slot_of_file(name, url, *identity_as(as_card, any_head)).ready
    if kept.is_file() and not newest:
        _note_copy(url, kept)
    else:
        with hold(slot):
            # another process may have fetched it meanwhile
            if (newest or not kept.is_file()) and _fetch_unless_here(url, kept, slot, progress, newest):
                _keep_named(file, as_card, kept, any_head)
    return replace(file, path=kept)


def _fetch_unless_here(url: str, kept: Path, slot: Slot, progress: Progress, newest: bool) -> bool:
    """Download the file unless a copy will do. Returns whether there is a download to be made ready."""
    download = slot.download(file_name_of(url))  # from an earlier call, which did not say what network it has
    copy = kept if kept.is_file() else download
    if not copy.is_file():
        _download(UrlSource("url", url), slot, progress)
    elif not newest:
        _note_copy(url, copy)
    elif not _download_if_newer(url, copy, slot, progress):
        return copy == download
    return True


def _download_if_newer(url: str, copy: Path, slot: Slot, progress: Progress) -> bool:
    """Download the file if the server has another one than the copy. A note says why it was not downloaded."""
    try:
        if _is_newest(url, copy):
            log.info("%s: the copy of %s is the newest", without_secrets(url), _date_of(copy))
            return False
        _download(UrlSource("url", url), slot, progress)
    except ModelUnavailable as error:
        log.info("%s; using the copy of %s, newest or not", error, _date_of(copy))
        return False
    return True


def _is_newest(url: str, copy: Path) -> bool:
    from nlvid_cli.models.store.sources.url import is_unchanged

    etag = _etag_file(copy)
    with _source_errors(without_secrets(url)):
        return etag.is_file() and is_unchanged(url, etag.read_text(encoding="utf-8"))


def _download(source: UrlSource, slot: Slot, progress: Progress) -> None:
    with _source_errors(without_secrets(source.url)):
        fetched = fetch(source, slot, progress)
    if fetched.etag:
        _etag_file(fetched.path).write_text(fetched.etag, encoding="utf-8")
    else:
        _etag_file(fetched.path).unlink(missing_ok=True)


@contextmanager
def _source_errors(shown: str) -> Iterator[None]:
    """Turn the failure of the only source into an error that names it."""
    try:
        yield
    except SourceError as error:
        raise ModelUnavailable(f"{shown}: {error}") from error


def _keep_named(file: NamedFile, as_card: Card | None, kept: Path, any_head: bool) -> None:
    """Move or convert a download to ``kept``, with its ETag. The file that was there stays until then."""
    try:
        require_model_file(file.path, file.shown)
        if file.is_onnx:
            read_onnx(file.path)  # a damaged or unsafe file must fail now
            os.replace(file.path, kept)
        elif own_card(file, as_card) is not None:
            os.replace(file.path, kept)
        else:
            convert_as(require_as(file, as_card), file, kept, any_head)
    except (ModelFileError, UnsafeFile):
        _delete(file.path)
        raise
    if _etag_file(file.path).is_file():
        os.replace(_etag_file(file.path), _etag_file(kept))
    else:
        _etag_file(kept).unlink(missing_ok=True)
    _delete(file.path)


def _delete(copy: Path) -> None:
    copy.unlink(missing_ok=True)
    _etag_file(copy).unlink(missing_ok=True)


def _note_copy(url: str, copy: Path) -> None:
    log.info(
        "%s: using the copy of %s; `nlvid models pull` of the address looks for a newer one",
        without_secrets(url),
        _date_of(copy),
    )


def _date_of(copy: Path) -> str:
    return datetime.fromtimestamp(copy.stat().st_mtime).astimezone().date().isoformat()


def _etag_file(copy: Path) -> Path:
    return copy.with_name(copy.name + ".etag")
