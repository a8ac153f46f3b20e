"""Plain HTTP downloads that survive a broken connection. Only this file imports ``requests``.

A download grows in ``<target>.part``. If it ends early, the part stays, and the next run asks for the rest with a Range
request. The file gets its name only when the whole has the published checksums. A part that does not fit is deleted,
and the file is fetched once more from the start. For a file without a published checksum, only its ETag says whether
the rest belongs to the part (If-Range, RFC 9110); without an ETag, each connection starts over.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url, select_proxy
from urllib3.util.retry import Retry

from nlvid_cli._version import __version__
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
from nlvid_cli.system.addresses import RefusedRedirect, first_kind, require_redirect

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10.0, 60.0)
"""To connect, and between two pieces of an answer."""

RETRY_STATUS = (429, 500, 502, 503, 504)
MAX_CONNECTIONS = 20
"""Number of connections for one download, if each of them brings some bytes."""
MAX_REDIRECTS = 10
MAX_STALLS = 3
"""Number of connections in a row that break without a byte."""
BACKOFF_SECONDS = 0.5
MAX_DOWNLOAD_BYTES = 16 * 2**30
"""Limit for a file whose size is not on the card."""

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
    """

    etag: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether the same ETag means the same bytes: it is not a weak one, ``W/"..."``."""
        return self.etag.startswith('"')


class GuardedSession(requests.Session):
    """A session that follows redirects only to where :mod:`nlvid_cli.system.addresses` allows."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = MAX_REDIRECTS
        self._first = self._before = ""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request. Called for every hop of a chain of redirections; ``allow_redirects`` is on for the first."""
        url = str(request.url)
        resolve = select_proxy(url, kwargs.get("proxies")) is None
        if kwargs.get("allow_redirects", True):
            self._first = url
        else:
            try:
                require_redirect(first_kind(self._first, resolve), self._before, url, resolve)
            except RefusedRedirect as error:
                raise SourceError(host_of(self._first), str(error)) from error
        self._before = url
        return super().send(request, **kwargs)


class HttpsSession(GuardedSession):
    """A session that uses plain http for this machine only, in redirections too."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request. Called for every hop of a chain of redirections."""
        url = str(request.url)
        is_local = host_of(url).partition(":")[0] in ("127.0.0.1", "localhost")
        if not is_local and not url.startswith("https://"):
            raise SourceError(host_of(url), "plain http is not used for model files; give an https address")
        return super().send(request, **kwargs)


def new_session(retries: bool = True, kind: type[GuardedSession] = GuardedSession) -> requests.Session:
    """Make a session. With ``retries``, it asks again a few times after a failure.

    Proxies and certificates are those of requests' own environment variables. ``PIP_CERT`` names the CA file if neither
    ``REQUESTS_CA_BUNDLE`` nor ``CURL_CA_BUNDLE`` does.
    """
    retry = Retry(
        total=3,
        connect=1,
        read=2,
        status_forcelist=RETRY_STATUS,
        backoff_factor=BACKOFF_SECONDS,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    session = kind()
    session.headers["User-Agent"] = f"nlvid/{__version__}"
    session.verify = os.environ.get("PIP_CERT") or True
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry if retries else 0))
    return session


@contextmanager
def source_errors(host: str, what: str) -> Iterator[None]:
    """Turn what ``requests`` raises in the block, which asks for ``what``, into :class:`SourceError`."""
    try:
        yield
    except requests.HTTPError as error:
        raise SourceError(host, status_reason(error.response.status_code, what)) from error
    except OSError as error:  # the type of requests' own errors, and of a missing CA file
        raise SourceError(host, network_reason(error)) from error


def credentials_in(url: str) -> tuple[str, str] | None:
    """Return user name and password of an address such as ``https://me:secret@host/``, or None."""
    user, password = get_auth_from_url(url)
    return (user, password) if user or password else None


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
    digests, pieced = _receive(session, remote, part, version, progress)
    if pieced and not remote.published.fit(digests):
        part.unlink(missing_ok=True)
        log.info("the pieces of %s that arrived at different times do not fit together; starting again", remote.name)
        digests, _ = _receive(session, remote, part, version, progress)
    if not remote.published.fit(digests):
        part.unlink(missing_ok=True)
    require_published(remote.name, host_of(remote.url), remote.published, digests)
    os.replace(part, target)
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
        if start and (response.status_code == 416 or not _continues_at(response, start)):
            part.unlink()  # the server has fewer bytes than the part, or sends others than asked for
            return False
        if response.status_code not in (200, 206):
            raise SourceError(host_of(response.url), status_reason(response.status_code, remote.name))
        version.etag = response.headers.get("ETag", "")
        _store(response, part, start if response.status_code == 206 else 0, remote, progress)
    return True


def _ask(headers: dict[str, str], session: requests.Session, remote: RemoteFile, part: Path) -> requests.Response:
    try:
        return session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS, auth=remote.auth)
    except (OSError, ValueError) as error:  # as in ask_host
        request = getattr(error, "request", None)
        asked = request.url if request is not None else remote.url
        raise SourceError(host_of(asked), _broken(error, remote, part)) from error


def _continues_at(response: requests.Response, start: int) -> bool:
    """Whether an answer is complete, or begins at the byte that was asked for."""
    if response.status_code != 206:
        return True
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == start


def _store(response: requests.Response, part: Path, start: int, remote: RemoteFile, progress: Progress) -> None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else remote.size_bytes
    progress.start(f"Downloading {remote.name}", total)
    progress.advance(start)
    limit = remote.size_bytes or MAX_DOWNLOAD_BYTES
    received = start
    with part.open("ab" if start else "wb") as file:
        for chunk in response.iter_content(_CHUNK_BYTES):
            received += len(chunk)
            if received > limit:
                file.close()
                part.unlink()
                raise ChecksumMismatch(
                    f"{remote.name} from {host_of(remote.url)} is not the published file: it is larger than "
                    f"{limit} bytes; it was not used"
                )
            file.write(chunk)
            progress.advance(len(chunk))


def _is_complete(size: int, remote: RemoteFile) -> bool:
    return remote.size_bytes is not None and size >= remote.size_bytes


def _broken(error: Exception, remote: RemoteFile, part: Path) -> str:
    kept = _size(part) if remote.published else 0
    rest = f" ({kept} bytes arrived and are kept; the next run continues there)" if kept else ""
    return network_reason(error) + rest


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
