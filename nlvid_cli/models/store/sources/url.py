"""Files behind plain https addresses."""

from __future__ import annotations

from nlvid_cli.card.card import UrlSource
from nlvid_cli.models.reference import file_name_of
from nlvid_cli.models.store.cache import published_sums
from nlvid_cli.models.store.download import HttpsSession, Remote, ask, download, has_etag, new_session
from nlvid_cli.models.store.sources.common import Job, Obtained, host_of


def obtain(source: UrlSource, job: Job) -> Obtained:
    """Download the file; http without the s only from this very machine."""
    name = file_name_of(source.url)
    target = job.slot.download(name)
    published = published_sums(source)
    remote = Remote(source.url, name, published, source.size_bytes)
    with new_session(kind=HttpsSession) as session:
        sha256, etag = download(session, remote, target, job)
    if not published:
        job.note(f"the authors of {name} publish no hash of it; the sha256 of what came is {sha256}")
    return Obtained(target, disposable=True, sha256=sha256, etag=etag)


def is_unchanged(url: str, etag: str) -> bool:
    """Whether the server says that the file behind an address is still the one that it called so."""
    with new_session(kind=HttpsSession) as session:
        return has_etag(session, url, etag)


def reach(urls: list[str], timeout_seconds: float) -> list[tuple[str, bool, str]]:
    """Host, whether it answers, and a few words, for the first address of every host."""
    first = {host_of(url): url for url in reversed(urls)}
    with new_session(retries=False) as session:
        return [ask(session, url, timeout_seconds) for url in first.values()]
