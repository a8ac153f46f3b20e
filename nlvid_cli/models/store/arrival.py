"""Files behind addresses: fetched once, and again where the user asks for the newest and the server has another one.

Beside each copy lies the ETag that it came with (RFC 9110), so that asking again need not be a download.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nlvid_cli.card.card import HubSource, UrlSource
from nlvid_cli.errors import ModelUnavailable
from nlvid_cli.models.reference import file_name_of, without_secrets

if TYPE_CHECKING:
    from nlvid_cli.models.store.sources.common import Job, Obtained


def obtained(source: HubSource | UrlSource, shown: str, job: Job) -> Obtained:
    """The file of a source that the user named.

    Raises:
        ModelUnavailable: it cannot be had; the message begins with ``shown``.
    """
    from nlvid_cli.models.store.sources import obtain
    from nlvid_cli.models.store.sources.common import SourceError

    try:
        return obtain(source, job)
    except SourceError as error:
        raise ModelUnavailable(f"{shown}: {error}") from error


def arrived(url: str, job: Job) -> Path:
    """What is behind an address, downloaded if it does not lie here from an earlier call."""
    path = job.slot.download(file_name_of(url))
    return path if path.is_file() else _fetched(url, job)


def newer_arrived(url: str, copy: Path, job: Job) -> bool:
    """Ask whether there is another file than the copy by now, and download it; a note tells where there is none."""
    try:
        etag = _etag_file(copy)
        if etag.is_file() and _is_unchanged(url, etag.read_text(encoding="utf-8")):
            job.note(f"{without_secrets(url)}: the copy of {_date_of(copy)} is the newest")
            return False
        _fetched(url, job)
    except ModelUnavailable as error:
        job.note(f"{error}; using the copy of {_date_of(copy)}, newest or not")
        return False
    return True


def tell_copy(url: str, copy: Path, note: Callable[[str], None]) -> None:
    """Say that the server is not asked, and who asks it."""
    shown = without_secrets(url)
    note(f"{shown}: using the copy of {_date_of(copy)}; `nlvid models pull` of the address looks for a newer one")


def move_etag(copy: Path, target: Path) -> None:
    """Let the ETag follow a copy that was moved or converted."""
    if _etag_file(copy).is_file():
        _etag_file(copy).replace(_etag_file(target))
    else:
        _etag_file(target).unlink(missing_ok=True)


def delete(copy: Path) -> None:
    """Delete a copy, if it is there, and its ETag."""
    copy.unlink(missing_ok=True)
    _etag_file(copy).unlink(missing_ok=True)


def _fetched(url: str, job: Job) -> Path:
    got = obtained(UrlSource("url", url), without_secrets(url), job)
    if got.etag:
        _etag_file(got.path).write_text(got.etag, encoding="utf-8")
    else:
        _etag_file(got.path).unlink(missing_ok=True)
    return got.path


def _is_unchanged(url: str, etag: str) -> bool:
    from nlvid_cli.models.store.sources.common import SourceError
    from nlvid_cli.models.store.sources.url import is_unchanged

    try:
        return is_unchanged(url, etag)
    except SourceError as error:
        raise ModelUnavailable(f"{without_secrets(url)}: {error}") from error


def _date_of(copy: Path) -> str:
    return datetime.fromtimestamp(copy.stat().st_mtime).astimezone().date().isoformat()


def _etag_file(copy: Path) -> Path:
    return copy.with_name(copy.name + ".etag")
