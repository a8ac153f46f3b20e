"""Where models are kept on this machine.

::

    <cache>/models/<name>-<key>.safetensors      weights, ready to use
    <cache>/models/<name>-<key>.json             or a receipt: the ready file is in the Hub's cache
    <cache>/models/<name>-<key>.onnx             the same network for ONNX Runtime, once it was exported
    <cache>/models/<name>-<key>-faster-*.json    which backend was faster here
    <cache>/models/<file>.etag                   the server's mark for this version of a file behind an address
    <cache>/downloads/<name>-<key>-<file>.part   the first part of an interrupted download
    <cache>/downloads/<name>-<key>-<file>        a whole file: weights of an image network, or of an unknown network
    <cache>/locks/<name>-<key>.lock
    <cache>/compiled/<sha256>/...                what TensorRT, CoreML and OpenVINO made of an ONNX file

The key is a hash of what identifies the weights: checksum of the published file, its format, layout of nlvid's tensors.
The rest of the card is left out, so that new preprocessing in the manifest causes no download, and new weights under an
old name never meet the old file. Nothing here uses the network.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nlvid_cli.card.card import BundledSource, Card, HubSource, IndexSource, Source, UrlSource
from nlvid_cli.card.manifest import find_card, is_known, load_manifest, weights_folder
from nlvid_cli.errors import UsageError
from nlvid_cli.models.store.checksums import PublishedChecksums
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.system.hashes import sha256_of
from nlvid_cli.system.strict_json import parse_json

log = logging.getLogger(__name__)

READY_FORMAT = "safetensors"
"""``Card.format`` of files that are nlvid's own and need no conversion."""

LAYOUT = 1
"""Version of the tensor names in converted files. Raise it when a reader in ``formats/`` changes its result."""

FOLDERS = ("models", "downloads", "locks")
"""Folders of the cache."""


@dataclass(frozen=True)
class Slot:
    """The place of one model's weights in the cache.

    Attributes:
        name: Name of the model, for people. File names begin with it.
        key: Identifies the weights, see :func:`key_of`.
    """

    name: str
    key: str

    @property
    def ready(self) -> Path:
        """The weights, ready to use."""
        return self.beside(".safetensors")

    @property
    def receipt(self) -> Path:
        """Says where the ready file is, if it is outside nlvid's cache."""
        return self.beside(".json")

    @property
    def onnx(self) -> Path:
        """The network and its weights as an ONNX file: exported here, or published by somebody else."""
        return self.beside(".onnx")

    def beside(self, ending: str) -> Path:
        """Return the path for another file that belongs to the weights."""
        return self._path("models", ending)

    @property
    def lock(self) -> Path:
        """The lock file that keeps two processes from fetching the same model."""
        return self._path("locks", ".lock")

    def download(self, file_name: str) -> Path:
        """Return the path for a download. Two models never share one, and no file name leads out of the folder."""
        return self._path("downloads", f"-{safe_name(file_name)}")

    def _path(self, folder: str, ending: str) -> Path:
        return cache_folder() / folder / f"{self.name}-{self.key}{ending}"


def slot_of(card: Card) -> Slot:
    """Return the slot of a model of the manifest."""
    return Slot(card.name, cache_key(card))


def slot_of_file(file_name: str, *identity: str) -> Slot:
    """Return the slot of a file that the user named, by what identifies its contents."""
    return Slot(model_name_of(file_name), key_of(*identity))


def slot_of_manifest_file(card: Card, path: Path) -> Slot | None:
    """Return the slot of the manifest's model whose ready file is ``path``. None for any other file with its name."""
    if not is_known(card.name) or path != cached_path(find_card(card.name)):
        return None
    return slot_of(find_card(card.name))


def key_of(*identity: object) -> str:
    """Return 16 hexadecimal digits for what identifies some weights."""
    return hashlib.sha256(json.dumps([LAYOUT, *identity]).encode()).hexdigest()[:16]


def safe_name(name: str) -> str:
    """Turn a name from outside into one that every file system accepts: no separators, at most 100 letters."""
    return re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII)[-100:].lstrip(".-") or "file"


def model_name_of(file_name: str) -> str:
    """Return the name of a model that is known by its file only: the file's name without suffix, made safe."""
    return safe_name(PurePosixPath(file_name).stem)


def cache_folder() -> Path:
    """Return ``NLVID_CACHE``, or ``nlvid`` in the user's cache folder. It need not exist.

    Raises:
        UsageError: ``NLVID_CACHE`` begins with the home folder of an unknown user.
    """
    chosen = os.environ.get("NLVID_CACHE")
    if not chosen:
        import platformdirs  # slow to import, and not needed for bundled models and with NLVID_CACHE

        return Path(platformdirs.user_cache_dir("nlvid", False))
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"NLVID_CACHE={chosen}: there is no such user's home folder; give another folder") from None


def compiled_folder() -> Path:
    """Return the folder that contains the folders of :func:`compiled_from`. It need not exist."""
    return cache_folder() / "compiled"


def compiled_from(file: Path) -> Path:
    """Return the folder where TensorRT, CoreML and OpenVINO keep what they make of an ONNX file. It need not exist.

    There is a folder for each content, because their own keys identify the graph but not the weights in it.
    """
    return compiled_folder() / sha256_of(file)[:16]


def cached_path(card: Card) -> Path | None:
    """Return the ready file of a model, or None if it is not on this machine. Imports no client."""
    for source in card.sources:
        if source.kind == "bundled" and card.format == READY_FORMAT:
            path = weights_folder() / source.path
            if path.is_file():
                return path
    return path_in(slot_of(card))


def is_bundled(path: Path) -> bool:
    """Whether a ready file came with nlvid."""
    return path.parent == weights_folder()


def path_in(slot: Slot) -> Path | None:
    """Return the ready file of a slot, or the one that its receipt names. None if there is neither."""
    return slot.ready if slot.ready.is_file() else _path_on_receipt(slot)


def usable_now() -> tuple[str, ...]:
    """Return the names of the manifest's models that need no network: bundled, or fetched before."""
    return tuple(card.name for card in load_manifest().models if cached_path(card) is not None)


def write_receipt(slot: Slot, path: Path, sha256: str) -> None:
    """Record that the checked, ready file of a model is at ``path``, outside nlvid's cache."""
    receipt = {"path": str(path), "size_bytes": path.stat().st_size, "sha256": sha256}
    with atomic_file(slot.receipt) as part:
        part.write_text(json.dumps(receipt), encoding="utf-8")


def cache_key(card: Card) -> str:
    """Return the key of a model of the manifest."""
    return key_of(card.format, *map(_content, card.sources[:1]))


def _content(source: Source) -> str:
    """Identify the bytes of a source: by their checksum, or else by their address."""
    if isinstance(source, IndexSource):
        return source.member_sha256 or f"{source.sha256} {source.member}"
    return published_checksums(source).identity() or _address(source)


def published_checksums(source: Source) -> PublishedChecksums:
    """Return what is published about the file of a source. For an index source, that file is the archive."""
    if source.kind == "url":
        return PublishedChecksums(source.sha256, source.sha256_prefix, source.sha1)
    return PublishedChecksums(source.sha256)


def _address(source: BundledSource | HubSource | UrlSource) -> str:
    if source.kind == "url":
        return source.url
    return f"hf://{source.repo}@{source.revision}/{source.path}" if source.kind == "hub" else source.path


def _path_on_receipt(slot: Slot) -> Path | None:
    """Return the file that a receipt names, if it still has the size that it had when it was checked."""
    try:
        receipt = parse_json(slot.receipt.read_bytes())
        path = Path(receipt["path"])
        return path if path.stat().st_size == receipt["size_bytes"] else None
    except OSError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s: damaged, and ignored (%s)", slot.receipt, error)
        return None
