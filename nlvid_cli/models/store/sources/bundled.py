"""Files that come with the package, in its ``weights/`` folder."""

from __future__ import annotations

from nlvid_cli.card.card import BundledSource
from nlvid_cli.card.manifest import weights_folder
from nlvid_cli.models.store.cache import published_sums
from nlvid_cli.models.store.checksums import require_published, sums_of
from nlvid_cli.models.store.sources.common import Job, Obtained, SourceError


def obtain(source: BundledSource, job: Job) -> Obtained:
    """The file in the weights folder, used where it lies."""
    folder = weights_folder()
    path = folder / source.path
    if not path.is_file():
        raise SourceError("the package's weights folder", f"it has no file {source.path}")
    published = published_sums(source)
    sums = sums_of(path, published)
    require_published(source.path, str(folder), published, sums)
    return Obtained(path, disposable=False, sha256=sums.sha256)
