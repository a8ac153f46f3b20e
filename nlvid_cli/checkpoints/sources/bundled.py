"""Files that come with the package, in its ``weights/`` folder."""

from __future__ import annotations

from nlvid_cli.checkpoints.card import BundledSource
from nlvid_cli.checkpoints.checksums import mismatch, sha256_of
from nlvid_cli.checkpoints.manifest import weights_folder
from nlvid_cli.checkpoints.sources.common import Job, Obtained, SourceError


def obtain(source: BundledSource, job: Job) -> Obtained:
    """The file in the weights folder, used where it lies."""
    folder = weights_folder()
    path = folder / source.path
    if not path.is_file():
        raise SourceError("the package's weights folder", f"it has no file {source.path}")
    if source.sha256 is not None and (got := sha256_of(path)) != source.sha256:
        raise mismatch(source.path, str(folder), source.sha256, got)
    return Obtained(path, disposable=False, sha256=source.sha256)
