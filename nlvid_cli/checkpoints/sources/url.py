"""Files behind plain https addresses."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from nlvid_cli.checkpoints.cache import download_path
from nlvid_cli.checkpoints.card import UrlSource
from nlvid_cli.checkpoints.download import Remote, ask, download, new_session
from nlvid_cli.checkpoints.sources.common import Job, Obtained, host_of


def obtain(source: UrlSource, job: Job) -> Obtained:
    """Download the file; http without the s only from this very machine."""
    name = PurePosixPath(unquote(urlsplit(source.url).path)).name or "file"
    target = download_path(job.card, name)
    remote = Remote(source.url, name, source.sha256, source.size_bytes, https_only=True)
    with new_session() as session:
        download(session, remote, target, job)
    return Obtained(target, disposable=True, sha256=source.sha256)


def reach(urls: list[str], timeout_seconds: float) -> list[tuple[str, bool, str]]:
    """Host, whether it answers, and a few words, for the first address of every host."""
    first = {host_of(url): url for url in reversed(urls)}
    with new_session(retries=False) as session:
        return [ask(session, url, timeout_seconds) for url in first.values()]
