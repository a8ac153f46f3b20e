"""Where models lie on this machine once they have been fetched.

::

    <cache>/models/<name>-<key>.safetensors   weights, ready to use
    <cache>/models/<name>-<key>.json          or a receipt: the ready file lies in the Hub's cache
    <cache>/downloads/<key>-<file>.part       what has come so far of a download that broke off
    <cache>/locks/<name>-<key>.lock

The key is a hash of what the weights are (sha256 of the published file, its format, the layout of nlvid's
tensors), not of the rest of the card: new preprocessing in the manifest does not fetch anything again, and
new weights under an old name never meet the old file. Nothing here goes to the network.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import platformdirs

from nlvid_cli.checkpoints.card import Card, IndexSource, Source
from nlvid_cli.checkpoints.manifest import load_manifest, weights_folder

READY_FORMAT = "safetensors"
"""Value of ``Card.format`` for files that are nlvid's own already and are used without conversion."""

LAYOUT = 1
"""Number of the naming of tensors in converted files; raise it when a reader in ``formats/`` changes."""


def cache_folder() -> Path:
    """``NLVID_CACHE``, or ``nlvid`` in the user's cache folder; it need not exist."""
    chosen = os.environ.get("NLVID_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("nlvid", False))


def cached_path(card: Card) -> Path | None:
    """The ready file of a model that is on this machine, or None. Makes no request and imports no client."""
    for source in card.sources:
        if source.kind == "bundled" and card.format == READY_FORMAT:
            path = weights_folder() / source.path
            if path.is_file():
                return path
    ready = ready_path(card)
    return ready if ready.is_file() else _path_on_receipt(card)


def usable_now() -> tuple[str, ...]:
    """Names of the models that need no network: bundled, or fetched before."""
    return tuple(card.name for card in load_manifest().models if cached_path(card) is not None)


def ready_path(card: Card) -> Path:
    """Where the converted weights of a model belong in the cache."""
    return cache_folder() / "models" / f"{_stem(card)}.safetensors"


def download_path(card: Card, file_name: str) -> Path:
    """Where a download of this model goes; two models never share one."""
    return cache_folder() / "downloads" / f"{cache_key(card)}-{file_name}"


def lock_path(card: Card) -> Path:
    """The lock file that keeps two processes from fetching the same model."""
    return cache_folder() / "locks" / f"{_stem(card)}.lock"


def write_receipt(card: Card, path: Path, sha256: str | None) -> None:
    """Remember that the checked, ready file of a model lies at ``path``, outside nlvid's cache."""
    receipt = _receipt_path(card)
    temporary = receipt.with_name(receipt.name + ".tmp")
    data = {"path": str(path), "size_bytes": path.stat().st_size, "sha256": sha256}
    temporary.write_text(json.dumps(data), encoding="utf-8")
    os.replace(temporary, receipt)


def cache_key(card: Card) -> str:
    """Sixteen hexadecimal digits that stand for the weights of a card."""
    identity = json.dumps([LAYOUT, card.format, *map(_content, card.sources[:1])])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _content(source: Source) -> str:
    """What identifies the bytes of a source: their sha256, or else where they are."""
    if isinstance(source, IndexSource):
        return source.member_sha256 or f"{source.sha256} {source.member}"
    return source.sha256 or repr(source)


def _stem(card: Card) -> str:
    return f"{card.name}-{cache_key(card)}"


def _receipt_path(card: Card) -> Path:
    return cache_folder() / "models" / f"{_stem(card)}.json"


def _path_on_receipt(card: Card) -> Path | None:
    """The file that a receipt names, if it is still there with the size that it had when it was checked."""
    try:
        receipt = json.loads(_receipt_path(card).read_text(encoding="utf-8"))
        path = Path(receipt["path"])
        return path if path.stat().st_size == receipt["size_bytes"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
