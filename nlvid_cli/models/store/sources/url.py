"""Files behind plain https addresses."""

from __future__ import annotations

import logging

from nlvid_cli.card.card import UrlSource
from nlvid_cli.models.naming import file_name_of
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.cache import Slot, published_checksums
from nlvid_cli.models.store.download import RemoteFile, ask_host, download, has_etag
from nlvid_cli.models.store.session import HttpsSession, new_session
from nlvid_cli.models.store.sources.common import Fetched, HostAnswer, host_of

log = logging.getLogger(__name__)


def fetch(source: UrlSource, slot: Slot, progress: Progress) -> Fetched:
    """Download the file. Plain http is accepted from this machine only."""
    name = file_name_of(source.url)
    target = slot.download(name)
    published = published_checksums(source)
    remote = RemoteFile(source.url, name, published, source.size_bytes)
    with new_session(kind=HttpsSession) as session:
        sha256, etag = download(session, remote, target, progress)
    if not published:
        log.info("the authors of %s publish no hash of it; the downloaded file has the sha256 %s", name, sha256)
    return Fetched(target, disposable=True, sha256=sha256, etag=etag)


def is_unchanged(url: str, etag: str) -> bool:
    """Whether the server says that the file behind an address still has this ETag.

    Raises:
        SourceError: The server does not answer.
    """
    with new_session(kind=HttpsSession) as session:
        return has_etag(session, url, etag)


def ask_hosts(urls: list[str], timeout_seconds: float) -> list[HostAnswer]:
    """Ask for the first address of every host."""
    first = {host_of(url): url for url in reversed(urls)}
    with new_session(retries=False) as session:
        return [ask_host(session, url, timeout_seconds) for url in first.values()]
