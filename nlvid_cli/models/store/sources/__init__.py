"""Where model files come from: one file per kind of source, one line in :data:`SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nlvid_cli.card.card import Source
from nlvid_cli.models.store.sources.common import Job, Obtained


def obtain(source: Source, job: Job) -> Obtained:
    """Get the file of a source, checked against the sums on the card.

    Raises:
        SourceError: the source cannot be reached or does not have the file.
        ChecksumMismatch: it has another file.
        ModelFileError: it is an archive that is damaged or lacks the file.
    """
    return SOURCES[source.kind](source, job)


# Each client is imported when a source of its kind is used, and not before: they are slow to import.


def _bundled(source: Any, job: Job) -> Obtained:
    from nlvid_cli.models.store.sources import bundled

    return bundled.obtain(source, job)


def _hub(source: Any, job: Job) -> Obtained:
    from nlvid_cli.models.store.sources import hub

    return hub.obtain(source, job)


def _url(source: Any, job: Job) -> Obtained:
    from nlvid_cli.models.store.sources import url

    return url.obtain(source, job)


def _index(source: Any, job: Job) -> Obtained:
    from nlvid_cli.models.store.sources import index

    return index.obtain(source, job)


SOURCES: dict[str, Callable[[Any, Job], Obtained]] = {
    "bundled": _bundled,
    "hub": _hub,
    "url": _url,
    "index": _index,
}
