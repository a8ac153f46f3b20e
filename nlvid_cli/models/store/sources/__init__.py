"""Where model files come from: one file per kind of source, and one line in :data:`SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nlvid_cli.card.card import Source
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.cache import Slot
from nlvid_cli.models.store.sources.common import Fetched, HostAnswer

TIMEOUT_SECONDS = 5.0
"""Of :func:`reachable_hosts`: for each host, to connect and to answer."""


def fetch(source: Source, slot: Slot, progress: Progress) -> Fetched:
    """Fetch the file of a source, and check it against the published checksums.

    Args:
        source: A source of the model's card.
        slot: The model's place in the cache, for downloads.
        progress: Receives download progress.

    Raises:
        SourceError: The source cannot be reached, or does not have the file.
        ChecksumMismatch: It has another file.
        ModelFileError: It is an archive that is damaged or lacks the file.
    """
    return SOURCES[source.kind](source, slot, progress)


def reachable_hosts() -> list[HostAnswer]:
    """Ask each host once, with the proxies, certificates and addresses that a download would use.

    The hosts are the Hub's endpoint, every package index, and those of plain addresses in the manifest.
    """
    from nlvid_cli.models.store.sources import hub, index, url

    sources = [source for card in load_manifest().models for source in card.sources]
    projects = [source.project for source in sources if source.kind == "index"]
    urls = [source.url for source in sources if source.kind == "url"]
    return [
        hub.ask_host(TIMEOUT_SECONDS),
        *index.ask_hosts(projects[0] if projects else "pip", TIMEOUT_SECONDS),
        *url.ask_hosts(urls, TIMEOUT_SECONDS),
    ]


# Clients are slow to import, so each one is imported only when a source of its kind is used.


def _fetch_bundled(source: Any, slot: Slot, progress: Progress) -> Fetched:
    from nlvid_cli.models.store.sources import bundled

    return bundled.fetch(source)


def _fetch_hub(source: Any, slot: Slot, progress: Progress) -> Fetched:
    from nlvid_cli.models.store.sources import hub

    return hub.fetch(source, progress)


def _fetch_url(source: Any, slot: Slot, progress: Progress) -> Fetched:
    from nlvid_cli.models.store.sources import url

    return url.fetch(source, slot, progress)


def _fetch_index(source: Any, slot: Slot, progress: Progress) -> Fetched:
    from nlvid_cli.models.store.sources import index

    return index.fetch(source, slot, progress)


SOURCES: dict[str, Callable[[Any, Slot, Progress], Fetched]] = {
    "bundled": _fetch_bundled,
    "hub": _fetch_hub,
    "url": _fetch_url,
    "index": _fetch_index,
}
