"""Files that come with the package, in its ``weights/`` folder."""

from __future__ import annotations

from nlvid_cli.card.card import BundledSource
from nlvid_cli.card.manifest import weights_folder
from nlvid_cli.models.store.cache import published_checksums
from nlvid_cli.models.store.checksums import digests_of, require_published
from nlvid_cli.models.store.sources.common import Fetched, SourceError


def fetch(source: BundledSource) -> Fetched:
    """Return the file in the weights folder, where it stays."""
    folder = weights_folder()
    path = folder / source.path
    if not path.is_file():
        raise SourceError("the package's weights folder", f"it has no file {source.path}")
    published = published_checksums(source)
    digests = digests_of(path, published)
    require_published(source.path, str(folder), published, digests)
    return Fetched(path, disposable=False, sha256=digests.sha256)
