"""Whether the places that models come from answer, for ``nlvid doctor``."""

from __future__ import annotations

from nlvid_cli.card.manifest import load_manifest

TIMEOUT_SECONDS = 5.0
"""For each host, to connect and to answer."""

Reach = tuple[str, bool, str]


def reachable_sources() -> list[Reach]:
    """Ask each host once, with the proxies, certificates and addresses that a download would use.

    Returns:
        Host, whether it answers as it should, and a few words on it: the Hub's endpoint, every package index,
        and the hosts of plain addresses in the manifest.
    """
    from nlvid_cli.models.store.sources import hub, index, url

    sources = [source for card in load_manifest().models for source in card.sources]
    projects = [source.project for source in sources if source.kind == "index"]
    urls = [source.url for source in sources if source.kind == "url"]
    return [
        hub.reach(TIMEOUT_SECONDS),
        *index.reach(projects[0] if projects else "pip", TIMEOUT_SECONDS),
        *url.reach(urls, TIMEOUT_SECONDS),
    ]
