"""Plain HTTP downloads that survive a broken connection.

A download grows in ``<target>.part``. If it ends early, the part stays, and the next run asks for the rest with a Range
request. The file gets its name only when the whole has the published checksums. A part that does not fit is deleted,
and the file is fetched once more from the start. For a file without a published checksum, only its ETag says whether
the rest belongs to the part (If-Range, RFC 9110); without an ETag, each connection starts over.

The server is not trusted: what it sends is stored as it comes, never unpacked, and never more than the card or its own
answer states. A part that no later run can use is deleted.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from nlvid_cli.errors import ChecksumMismatch
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.checksums import Digests, PublishedChecksums, digests_of, require_published
from nlvid_cli.models.store.sources.common import (
    HostAnswer,
    SourceError,
    host_of,
    network_reason,
    status_reason,
)

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10.0, 60.0)
"""To connect, and between two pieces of an answer."""

MAX_CONNECTIONS = 20
"""Number of connections for one download, if each of them brings some bytes."""
MAX_STALLS = 3
"""Number of connections in a row that break without a byte."""
BACKOFF_SECONDS = 0.5
MAX_DOWNLOAD_BYTES = 16 * 2**30
"""Limit for a file whose size is not on the card."""

_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)")
_CHUNK_BYTES = 2**14  # a connection that breaks within a chunk loses what had arrived of it


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes:
        url: Its address.
        name: Its name, for messages.
        published: Its published checksums.
        size_bytes: Its published size, or None.
        auth: User name and password.
    """

    url: str
    name: str
    published: PublishedChecksums
    size_bytes: int | None
    auth: tuple[str, str] | None = None


@dataclass
class _Version:
    """Which version of a file the server sends.

    Attributes:
        etag: The ETag of its last answer, verbatim. "" if it had none.
        host: Who gave this answer, after all redirects: an ETag means nothing to others.
    """

    etag: str = ""
    host: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether the same ETag means the same bytes: it is not a weak one, ``W/"..."``."""
        return self.etag.startswith('"')


@contextmanager
def source_errors(host: str, what: str) -> Iterator[None]:
    """Turn what ``requests`` raises in the block, which asks for ``what``, into :class:`SourceError`."""
    try:
        yield
    except requests.HTTPError as error:
        raise SourceError(host, status_reason(error.response.status_code, what)) from error
    except OSError as error:  # the type of requests' own errors, and of a missing CA file
        raise SourceError(host, network_reason(error)) from error


def download(session: requests.Session, remote: RemoteFile, target: Path, progress: Progress) -> tuple[str, str]:
    """Download a file to ``target``, complete and checked.

    Returns:
        Its sha256, published or not, and its ETag, "" if it has none.

    Raises:
        SourceError: The file could not be downloaded. What arrived is kept for the next run.
        ChecksumMismatch: The server has another file. Nothing is kept.
        OSError: The cache folder cannot be written.
    """
    # not an atomic_file: the part must survive this process, under a name that the next one knows
    part = target.with_name(target.name + ".part")
    if not remote.published:
        part.unlink(missing_ok=True)  # nothing would tell whether an old part fits the new rest
    version = _Version()
    try:
        digests, pieced = _receive(session, remote, part, version, progress)
        if pieced and not remote.published.fit(digests):
            part.unlink(missing_ok=True)
            log.info(
                "the pieces of %s that arrived at different times do not fit together; starting again", remote.name
            )
            digests, _ = _receive(session, remote, part, version, progress)
        if not remote.published.fit(digests):
            part.unlink(missing_ok=True)
        require_published(remote.name, host_of(remote.url), remote.published, digests)
        os.replace(part, target)
    finally:
        if not remote.published:
            part.unlink(missing_ok=True)
    return digests.sha256, version.etag


def has_etag(session: requests.Session, url: str, etag: str) -> bool:
    """Whether the server says that the file behind an address still has that ETag (RFC 9110, If-None-Match).

    Raises:
        SourceError: The server does not answer.
    """
    headers = {"Accept-Encoding": "identity", "If-None-Match": etag}
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            return response.status_code == 304
    except (OSError, ValueError) as error:  # as in ask_host
        raise SourceError(host_of(url), network_reason(error)) from error


def ask_host(session: requests.Session, url: str, timeout_seconds: float) -> HostAnswer:
    """Ask whether the host of an address answers for it, without downloading anything."""
    try:
        status = session.head(url, timeout=timeout_seconds, allow_redirects=True).status_code
    except (OSError, ValueError) as error:  # as in source_errors; ValueError: a malformed address of a proxy
        return HostAnswer(host_of(url), False, network_reason(error))
    return HostAnswer(host_of(url), status < 400 or status == 405, f"answers (HTTP {status})")


def _receive(
    session: requests.Session, remote: RemoteFile, part: Path, version: _Version, progress: Progress
) -> tuple[Digests, bool]:
    """Fill the part until it is complete, over several connections if need be.

    Returns:
        Its digests, and whether it was pieced together from bytes of several connections.
    """
    stalls = 0
    pieced = False
    try:
        for _ in range(MAX_CONNECTIONS):
            before = _size(part)
            pieced = pieced or before > 0
            try:
                if _is_complete(before, remote) or _one_connection(session, remote, part, version, progress):
                    return digests_of(part, remote.published), pieced
            except requests.RequestException as error:
                stalls = 0 if _size(part) > before else stalls + 1
                if stalls == MAX_STALLS:
                    raise SourceError(host_of(remote.url), _broken(error, remote, part)) from error
                time.sleep(BACKOFF_SECONDS * 2**stalls)
    finally:
        progress.finish()
    raise SourceError(host_of(remote.url), f"{remote.name}: the connection broke {MAX_CONNECTIONS} times")


def _one_connection(
    session: requests.Session, remote: RemoteFile, part: Path, version: _Version, progress: Progress
) -> bool:
    """Ask for what is missing and append it. Returns whether the server says that this is all.

    Raises:
        requests.RequestException: The connection broke during the transfer.
        SourceError: There was no connection, or the server refuses.
    """
    if not remote.published and not version.is_exact:
        part.unlink(missing_ok=True)
    start = _size(part)
    headers = {"Accept-Encoding": "identity"}  # a compressed answer would have other offsets than the file
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({} if remote.published else {"If-Range": version.etag})
    with _ask(headers, session, remote, part) as response:
        if start and (response.status_code == 416 or not _continues(response, start, remote, version)):
            part.unlink()  # the server has fewer bytes than the part, or sends others than asked for
            return False
        if response.status_code != 200 and not (start and response.status_code == 206):
            raise SourceError(host_of(response.url), status_reason(response.status_code, remote.name))
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise SourceError(host_of(response.url), f"{remote.name}: it sends the file compressed, unasked")
        version.etag, version.host = response.headers.get("ETag", ""), host_of(response.url)
        start = start if response.status_code == 206 else 0
        total = _total(response, start)
        if total is not None and remote.size_bytes not in (None, total):
            part.unlink(missing_ok=True)
            raise _other_size(remote, f"{total} bytes")
        _store(response, part, start, total, remote, progress)
    return total is None or _size(part) >= total


def _ask(headers: dict[str, str], session: requests.Session, remote: RemoteFile, part: Path) -> requests.Response:
    try:
        return session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS, auth=remote.auth)
    except (OSError, ValueError) as error:  # as in ask_host
        request = getattr(error, "request", None)
        asked = request.url if request is not None else remote.url
        raise SourceError(host_of(asked), _broken(error, remote, part)) from error


def _continues(response: requests.Response, start: int, remote: RemoteFile, version: _Version) -> bool:
    """Whether an answer is complete, or begins at the byte that was asked for, of the same file."""
    if response.status_code != 206:
        return True
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    is_same_file = bool(remote.published) or version.host == host_of(response.url)
    return match is not None and int(match["start"]) == start and is_same_file


def _total(response: requests.Response, start: int) -> int | None:
    """Return the size of the whole file as the answer states it, or None."""
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if response.status_code == 206 and match is not None and match["total"].isdecimal():
        return int(match["total"])
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _store(
    response: requests.Response, part: Path, start: int, total: int | None, remote: RemoteFile, progress: Progress
) -> None:
    total = total or remote.size_bytes
    free_bytes = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free_bytes:
        raise OSError(errno.ENOSPC, f"{remote.name} needs {total - start} bytes more, and {free_bytes} are free")
    progress.start(f"Downloading {remote.name}", total)
    progress.advance(start)
    limit = total or MAX_DOWNLOAD_BYTES
    received = start
    with part.open("ab" if start else "wb") as file:
        for chunk in response.iter_content(_CHUNK_BYTES):
            received += len(chunk)
            if received > limit:
                file.close()
                part.unlink()
                raise _other_size(remote, f"more than {limit} bytes")
            file.write(chunk)
            progress.advance(len(chunk))


def _other_size(remote: RemoteFile, size: str) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"{remote.name} from {host_of(remote.url)} is not the published file: it has {size}"
        f"{f', and that one has {remote.size_bytes} bytes' if remote.size_bytes else ''}; it was not used"
    )


def _is_complete(size: int, remote: RemoteFile) -> bool:
    return remote.size_bytes is not None and size >= remote.size_bytes


def _broken(error: Exception, remote: RemoteFile, part: Path) -> str:
    kept = _size(part) if remote.published else 0
    rest = f" ({kept} bytes arrived and are kept; the next run continues there)" if kept else ""
    return network_reason(error) + rest


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
