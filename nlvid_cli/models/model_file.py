"""nlvid's own model files: safetensors with the card as JSON in the metadata.

The metadata also has ``format = "pt"``, which other tools look for, the version of nlvid that wrote the file, and the
sha256 of another program's file where it was converted from one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nlvid_cli._version import __version__
from nlvid_cli.card.card import CARD_KEY, Card, card_from_json, card_to_json
from nlvid_cli.errors import ModelFileError

VERSION_KEY = "nlvid_version"
"""Key of the version of nlvid that wrote the file, in the metadata."""

SOURCE_KEY = "source_sha256"
"""Key of the sha256 of the file that the tensors came from, in the metadata."""


class NoCard(ModelFileError):
    """A safetensors file that somebody else wrote."""


def open_checkpoint(path: str | os.PathLike[str]) -> tuple[Card, dict[str, np.ndarray]]:
    """Read a model file that nlvid wrote.

    Returns:
        The card in the file (for a model of the manifest, the manifest's card is the one to use), and the
        tensors by name, in memory of their own; those kept in fp16 as fp32, in which they are computed.

    Raises:
        ModelFileError: no such file, not a safetensors file, damaged, or without a card.
    """
    card, _, tensors = _read(os.fspath(path))
    return card, {n: t.astype(np.float32) if t.dtype == np.float16 else t for n, t in tensors.items()}


def in_fp16(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same tensors at half the size, for :func:`write_checkpoint`; they keep 11 bits of their precision.

    Raises:
        ModelFileError: a value is too large for fp16 (65,504).
    """
    with np.errstate(over="ignore"):
        halved = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    for name, tensor in halved.items():
        if not np.isfinite(tensor).all():
            raise ModelFileError(f"{name}: a value is too large for fp16; keep the weights in fp32")
    return halved


def _read(where: str) -> tuple[Card, dict[str, str], dict[str, np.ndarray]]:
    """Card, metadata and tensors as they are in the file."""
    try:
        with safe_open(where, framework="numpy") as file:
            metadata = file.metadata()
            card = _card_of(metadata, where)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, tensor in tensors.items():
            if tensor.dtype.kind not in "biuf":  # other packages teach numpy more, such as bfloat16
                raise TypeError(f"{name} is of type {tensor.dtype}")
        return card, metadata, tensors
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise _unreadable(where, error) from None


def read_card(path: str | os.PathLike[str]) -> Card:
    """The card in a model file, without reading its tensors.

    Raises:
        ModelFileError: as for :func:`open_checkpoint`.
    """
    where = os.fspath(path)
    try:
        with safe_open(where, framework="numpy") as file:
            return _card_of(file.metadata(), where)
    except (SafetensorError, OSError, MemoryError) as error:
        raise _unreadable(where, error) from None


def write_checkpoint(path: Path, card: Card, tensors: dict[str, np.ndarray], source_sha256: str | None = None) -> None:
    """Write a model file, whole or not at all: under a temporary name beside it first.

    Args:
        path: where the file shall be; one that is there is replaced.
        card: travels in the metadata.
        tensors: arrays by name, any memory layout; those that are not contiguous are copied.
        source_sha256: of the file that they came from; travels in the metadata.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    metadata = {"format": "pt", VERSION_KEY: __version__, CARD_KEY: card_to_json(card)}
    if source_sha256 is not None:
        metadata[SOURCE_KEY] = source_sha256
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the user's umask has it; safetensors makes files private
        save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, temporary, metadata)
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def replace_card(path: Path, card: Card) -> None:
    """Give a model file that nlvid wrote another card, and leave its tensors as they are.

    Raises:
        ModelFileError: as for :func:`open_checkpoint`.
        OSError: the folder cannot be written, or the disk is full.
    """
    _, metadata, tensors = _read(os.fspath(path))
    write_checkpoint(path.resolve(), card, tensors, metadata.get(SOURCE_KEY))


def _card_of(metadata: dict[str, str] | None, where: str) -> Card:
    text = (metadata or {}).get(CARD_KEY)
    if text is None:
        raise NoCard(f"{where}: the file has no model card ({CARD_KEY} in its metadata); give a file that nlvid wrote")
    return card_from_json(text, where)


def _unreadable(where: str, error: Exception) -> ModelFileError:
    if not os.path.isfile(where):
        return ModelFileError(f"{where}: no such model file")
    return ModelFileError(
        f"{where}: not a readable safetensors file ({error}); if it lies in the cache, delete it, and "
        "`nlvid models pull` fetches it again"
    )
