"""Where models lie on this machine once they have been fetched.

::

    <cache>/models/<name>-<key>.safetensors      weights, ready to use
    <cache>/models/<name>-<key>.json             or a receipt: the ready file lies in the Hub's cache
    <cache>/models/<name>-<key>.onnx             the same network for ONNX Runtime, once it was exported
    <cache>/models/<name>-<key>-faster-*.json    which backend was faster here
    <cache>/models/<file>.etag                   what the server of an address calls this version of the file
    <cache>/downloads/<name>-<key>-<file>.part   what has come so far of a download that broke off
    <cache>/downloads/<name>-<key>-<file>        a whole file that the user has not said the network of yet
    <cache>/locks/<name>-<key>.lock
    <cache>/compiled/<sha256>/...                what TensorRT, CoreML and OpenVINO made of an ONNX file

The key is a hash of what the weights are (sum of the published file, its format, the layout of nlvid's
tensors), not of the rest of the card: new preprocessing in the manifest does not fetch anything again, and
new weights under an old name never meet the old file. Nothing here goes to the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from nlvid_cli.card.card import BundledSource, Card, HubSource, IndexSource, Source, UrlSource
from nlvid_cli.card.manifest import load_manifest, weights_folder
from nlvid_cli.errors import UsageError
from nlvid_cli.models.store.checksums import Published, sha256_of

READY_FORMAT = "safetensors"
"""Value of ``Card.format`` for files that are nlvid's own already and are used without conversion."""

LAYOUT = 1
"""Number of the naming of tensors in converted files; raise it when a reader in ``formats/`` changes."""

FOLDERS = ("models", "downloads", "locks")
"""Folders of the cache."""


@dataclass(frozen=True)
class Slot:
    """The place of one model's weights in the cache.

    Attributes:
        name: of the model, for people; also the beginning of file names.
        key: stands for the weights, see :func:`key_of`.
    """

    name: str
    key: str

    @property
    def ready(self) -> Path:
        """The weights, ready to use."""
        return self._path("models", ".safetensors")

    @property
    def receipt(self) -> Path:
        """Tells where the ready file lies if that is outside nlvid's cache."""
        return self._path("models", ".json")

    @property
    def onnx(self) -> Path:
        """The weights in an ONNX file: as they were exported, or as somebody else published them."""
        return self._path("models", ".onnx")

    def beside(self, end: str) -> Path:
        """Where something else that belongs to the weights lies."""
        return self._path("models", end)

    @property
    def lock(self) -> Path:
        """The lock file that keeps two processes from fetching the same model."""
        return self._path("locks", ".lock")

    def download(self, file_name: str) -> Path:
        """Where a download goes; two models never share one, and no name leads out of the folder."""
        return self._path("downloads", f"-{safe_name(file_name)}")

    def _path(self, folder: str, end: str) -> Path:
        return cache_folder() / folder / f"{self.name}-{self.key}{end}"


def slot_of(card: Card) -> Slot:
    """The place of a manifest's model."""
    return Slot(card.name, cache_key(card))


def key_of(*identity: object) -> str:
    """Sixteen hexadecimal digits that stand for what identifies some weights."""
    return hashlib.sha256(json.dumps([LAYOUT, *identity]).encode()).hexdigest()[:16]


def safe_name(name: str) -> str:
    """A name that somebody else chose, as one that every file system takes: no separators, 100 letters at most."""
    return re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII)[-100:].lstrip(".-") or "file"


def cache_folder() -> Path:
    """``NLVID_CACHE``, or ``nlvid`` in the user's cache folder; it need not exist.

    Raises:
        UsageError: ``NLVID_CACHE`` begins with the home folder of nobody.
    """
    chosen = os.environ.get("NLVID_CACHE")
    if not chosen:
        return Path(platformdirs.user_cache_dir("nlvid", False))
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"NLVID_CACHE={chosen}: there is no such user's home folder; give another folder") from None


def compiled_folder() -> Path:
    """Where the folders of :func:`compiled_from` are; it need not exist."""
    return cache_folder() / "compiled"


def compiled_from(file: Path) -> Path:
    """Where TensorRT, CoreML and OpenVINO keep what they make of an ONNX file; it need not exist.

    A folder for each content: their own keys stand for the graph, and not for the weights in it.
    """
    return compiled_folder() / sha256_of(file)[:16]


def cached_path(card: Card) -> Path | None:
    """The ready file of a model that is on this machine, or None. Makes no request and imports no client."""
    for source in card.sources:
        if source.kind == "bundled" and card.format == READY_FORMAT:
            path = weights_folder() / source.path
            if path.is_file():
                return path
    return path_in(slot_of(card))


def exported_path(card: Card) -> Path | None:
    """The ONNX file that ``nlvid export`` has put into the cache for a model of the manifest, or None."""
    path = slot_of(card).onnx
    return path if path.is_file() else None


def is_bundled(path: Path) -> bool:
    """Whether a ready file came with nlvid."""
    return path.parent == weights_folder()


def path_in(slot: Slot) -> Path | None:
    """The ready file of a slot, or the one that its receipt names; None where there is neither."""
    return slot.ready if slot.ready.is_file() else _path_on_receipt(slot)


def usable_now() -> tuple[str, ...]:
    """Names of the models that need no network: bundled, or fetched before."""
    return tuple(card.name for card in load_manifest().models if cached_path(card) is not None)


def write_receipt(slot: Slot, path: Path, sha256: str) -> None:
    """Remember that the checked, ready file of a model lies at ``path``, outside nlvid's cache."""
    temporary = slot.receipt.with_name(slot.receipt.name + ".tmp")
    data = {"path": str(path), "size_bytes": path.stat().st_size, "sha256": sha256}
    temporary.write_text(json.dumps(data), encoding="utf-8")
    os.replace(temporary, slot.receipt)


def cache_key(card: Card) -> str:
    """The key of a manifest's model."""
    return key_of(card.format, *map(_content, card.sources[:1]))


def _content(source: Source) -> str:
    """What identifies the bytes of a source: their sum, or else where they are."""
    if isinstance(source, IndexSource):
        return source.member_sha256 or f"{source.sha256} {source.member}"
    return published_sums(source).identity() or _address(source)


def published_sums(source: Source) -> Published:
    """What is published of the sums of a source's file; of an archive as a whole, if it is one."""
    if source.kind == "url":
        return Published(source.sha256, source.sha256_prefix, source.sha1)
    return Published(source.sha256)


def _address(source: BundledSource | HubSource | UrlSource) -> str:
    if source.kind == "url":
        return source.url
    return f"hf://{source.repo}@{source.revision}/{source.path}" if source.kind == "hub" else source.path


def _path_on_receipt(slot: Slot) -> Path | None:
    """The file that a receipt names, if it is still there with the size that it had when it was checked."""
    try:
        receipt = json.loads(slot.receipt.read_text(encoding="utf-8"))
        path = Path(receipt["path"])
        return path if path.stat().st_size == receipt["size_bytes"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
