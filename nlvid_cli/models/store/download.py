"""Plain HTTP downloads that survive a broken connection, and the one place that owns ``requests``.

A download grows in ``<target>.part``. Whatever ends it early, the part stays, and the next run asks for the
rest with a Range request; the published sums of the whole decide, and only then the file gets its name. A part that
proves to be wrong is thrown away and fetched once more from the start. Of a file without a published sum, only its
ETag tells whether the rest belongs to the part (If-Range, RFC 9110); without one, each connection begins anew.
"""

from __future__ import annotations

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
from requests.utils import get_auth_from_url
from urllib3.util.retry import Retry

from nlvid_cli._version import __version__
from nlvid_cli.errors import ChecksumMismatch
from nlvid_cli.models.store.checksums import Published, Sums, require_published, sums_of
from nlvid_cli.models.store.sources.common import (
    Job,
    SourceError,
    host_of,
    network_reason,
    status_reason,
)

TIMEOUT_SECONDS = (10.0, 60.0)
"""To connect, and between two pieces of an answer."""

RETRY_STATUS = (429, 500, 502, 503, 504)
MAX_CONNECTIONS = 20
"""Connections that one download may use up, each of which brought something."""
MAX_STALLS = 3
"""Connections in a row that broke without bringing a byte."""
BACKOFF_SECONDS = 0.5
MAX_DOWNLOAD_BYTES = 16 * 2**30
"""Limit for files whose size the card does not state."""

_CHUNK_BYTES = 2**14  # what has come of a chunk is lost when the connection breaks in it


@dataclass(frozen=True)
class Remote:
    """A file to download.

    Attributes:
        url: its address.
        name: its name, for messages.
        published: its sums, as far as they are published.
        size_bytes: the published size; None where there is none.
        auth: user name and password.
    """

    url: str
    name: str
    published: Published
    size_bytes: int | None
    auth: tuple[str, str] | None = None


@dataclass
class _Version:
    """Which version of a file the server gives.

    Attributes:
        etag: of its last answer, as it stands there; "" where it names none.
    """

    etag: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether the same ETag means the same bytes."""
        return self.etag.startswith('"')


class HttpsSession(requests.Session):
    """Asks nobody by plain http but this machine, nor follows a redirection by it."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Called for every hop of a chain of redirections, before it is asked."""
        url = str(request.url)
        is_local = host_of(url).partition(":")[0] in ("127.0.0.1", "localhost")
        if not is_local and not url.startswith("https://"):
            raise SourceError(host_of(url), "plain http is not used for model files, give an https address")
        return super().send(request, **kwargs)


def new_session(retries: bool = True, kind: type[requests.Session] = requests.Session) -> requests.Session:
    """A session; with ``retries``, it tries a bounded number of times.

    Proxies and certificates are those of requests' own environment variables; ``PIP_CERT`` names the CA file
    where ``REQUESTS_CA_BUNDLE`` and ``CURL_CA_BUNDLE`` do not.
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
    """Turn what ``requests`` raises while ``what`` is asked for into :class:`SourceError`."""
    try:
        yield
    except requests.HTTPError as error:
        raise SourceError(host, status_reason(error.response.status_code, what)) from error
    except OSError as error:  # requests' own errors are of this type, and so is that of a missing CA file
        raise SourceError(host, network_reason(error)) from error


def credentials_in(url: str) -> tuple[str, str] | None:
    """User name and password of an address such as ``https://me:secret@host/``, if it has any."""
    user, password = get_auth_from_url(url)
    return (user, password) if user or password else None


def download(session: requests.Session, remote: Remote, target: Path, job: Job) -> tuple[str, str]:
    """Bring a file to ``target``, whole and checked.

    Returns:
        Its sha256, published or not, and its ETag, "" if it has none.

    Raises:
        SourceError: it cannot be had from there; what came so far is kept for the next run.
        ChecksumMismatch: the file there is another one; nothing is kept.
        OSError: the cache folder cannot be written.
    """
    part = target.with_name(target.name + ".part")
    if not remote.published:
        part.unlink(missing_ok=True)  # without a sum, nothing tells whether an old part fits the new rest
    version = _Version()
    sums, pieced = _receive(session, remote, part, version, job)
    if pieced and not sums.fit(remote.published):
        part.unlink(missing_ok=True)
        job.note(f"the pieces of {remote.name} that came at different times do not fit; starting again")
        sums, _ = _receive(session, remote, part, version, job)
    if not sums.fit(remote.published):
        part.unlink(missing_ok=True)
    require_published(remote.name, host_of(remote.url), remote.published, sums)
    os.replace(part, target)
    return sums.sha256, version.etag


def has_etag(session: requests.Session, url: str, etag: str) -> bool:
    """Whether the server says that the file behind an address still has that ETag (RFC 9110, If-None-Match).

    Raises:
        SourceError: it does not answer.
    """
    headers = {"Accept-Encoding": "identity", "If-None-Match": etag}
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            return response.status_code == 304
    except (OSError, ValueError) as error:  # as in ask
        raise SourceError(host_of(url), network_reason(error)) from error


def ask(session: requests.Session, url: str, timeout_seconds: float) -> tuple[str, bool, str]:
    """Host of an address, whether it answers there, and a few words on it."""
    try:
        status = session.head(url, timeout=timeout_seconds, allow_redirects=True).status_code
    except (OSError, ValueError) as error:  # as in source_errors; ValueError: the address of a proxy
        return host_of(url), False, network_reason(error)
    return host_of(url), status < 400 or status == 405, f"answers (HTTP {status})"


def _receive(session: requests.Session, remote: Remote, part: Path, version: _Version, job: Job) -> tuple[Sums, bool]:
    """Fill the part until it is complete, over several connections if need be.

    Returns:
        Its sums, and whether it was pieced together from what came at different times.
    """
    stalls = 0
    pieced = False
    try:
        for _ in range(MAX_CONNECTIONS):
            before = _size(part)
            pieced = pieced or before > 0
            try:
                if _is_complete(before, remote) or _one_connection(session, remote, part, version, job):
                    return sums_of(part, remote.published), pieced
            except requests.RequestException as error:
                stalls = 0 if _size(part) > before else stalls + 1
                if stalls == MAX_STALLS:
                    raise SourceError(host_of(remote.url), _broken(error, remote, part)) from error
                time.sleep(BACKOFF_SECONDS * 2**stalls)
    finally:
        job.progress.finish()
    raise SourceError(host_of(remote.url), f"{remote.name}: the connection broke {MAX_CONNECTIONS} times")


def _one_connection(session: requests.Session, remote: Remote, part: Path, version: _Version, job: Job) -> bool:
    """Ask for what is missing and append it; True when the server says that this is all of it.

    Raises:
        requests.RequestException: the connection broke while the file was coming.
        SourceError: it was not even made, or the server refuses.
    """
    if not remote.published and not version.is_exact:
        part.unlink(missing_ok=True)
    start = _size(part)
    headers = {"Accept-Encoding": "identity"}  # a compressed answer would have other offsets than the file
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({} if remote.published else {"If-Range": version.etag})
    with _ask(headers, session, remote, part) as response:
        if start and (response.status_code == 416 or not _continues_at(response, start)):
            part.unlink()  # the server has less than we have, or counts otherwise
            return False
        if response.status_code not in (200, 206):
            raise SourceError(host_of(response.url), status_reason(response.status_code, remote.name))
        version.etag = response.headers.get("ETag", "")
        _store(response, part, start if response.status_code == 206 else 0, remote, job)
    return True


def _ask(headers: dict[str, str], session: requests.Session, remote: Remote, part: Path) -> requests.Response:
    try:
        return session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS, auth=remote.auth)
    except (OSError, ValueError) as error:  # as in ask
        request = getattr(error, "request", None)
        asked = request.url if request is not None else remote.url
        raise SourceError(host_of(asked), _broken(error, remote, part)) from error


def _continues_at(response: requests.Response, start: int) -> bool:
    """Whether a partial answer begins at the byte that was asked for; a full answer is always right."""
    if response.status_code != 206:
        return True
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == start


def _store(response: requests.Response, part: Path, start: int, remote: Remote, job: Job) -> None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else remote.size_bytes
    job.progress.start(f"Downloading {remote.name}", total)
    job.progress.advance(start)
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
            job.progress.advance(len(chunk))


def _is_complete(size: int, remote: Remote) -> bool:
    return remote.size_bytes is not None and size >= remote.size_bytes


def _broken(error: Exception, remote: Remote, part: Path) -> str:
    kept = _size(part) if remote.published else 0
    rest = f" ({kept} bytes came and are kept; the next run goes on from there)" if kept else ""
    return network_reason(error) + rest


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
