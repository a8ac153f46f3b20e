"""nlvid's own model files: safetensors with the card as JSON in the metadata.

The metadata also has ``format = "pt"``, which other tools look for, the version of nlvid that wrote the file and, for a
converted file, the sha256 of the original.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nlvid_cli._version import __version__
from nlvid_cli.card.card import CARD_KEY, Card, card_from_json, card_to_json
from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.safetensors_header import check_header
from nlvid_cli.system.atomic import atomic_file

VERSION_KEY = "nlvid_version"
"""Metadata key of the version of nlvid that wrote the file."""

SOURCE_KEY = "source_sha256"
"""Metadata key of the sha256 of the file that was converted."""


class NoCard(ModelFileError):
    """A safetensors file that another program wrote."""


def open_checkpoint(path: str | os.PathLike[str]) -> tuple[Card, dict[str, np.ndarray]]:
    """Read a model file that nlvid wrote.

    Returns:
        The card in the file, and the tensors by name. The arrays have memory of their own; fp16 becomes fp32, in which
        networks compute. For a model of the manifest, use the manifest's card instead.

    Raises:
        ModelFileError: The file does not exist, is not a safetensors file, is damaged, or has no card.
    """
    card, _, tensors = _read(os.fspath(path))
    return card, {n: t.astype(np.float32) if t.dtype == np.float16 else t for n, t in tensors.items()}


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read the card in a model file, without its tensors.

    Raises:
        ModelFileError: As for :func:`open_checkpoint`.
    """
    where = os.fspath(path)
    try:
        check_header(Path(where), where)
        with safe_open(where, framework="numpy") as file:
            return _card_in(file.metadata(), where)
    except (SafetensorError, OSError, MemoryError) as error:
        raise _unreadable(where, error) from None


def write_checkpoint(path: Path, card: Card, tensors: dict[str, np.ndarray], source_sha256: str | None = None) -> None:
    """Write a model file, completely or not at all.

    Args:
        path: File to write; an existing one is replaced.
        card: Stored in the metadata.
        tensors: Arrays by name, of any memory layout. Arrays that are not contiguous are copied.
        source_sha256: sha256 of the file that was converted. Stored in the metadata.

    Raises:
        OSError: The folder is not writable, or the disk is full.
    """
    metadata = {"format": "pt", VERSION_KEY: __version__, CARD_KEY: card_to_json(card)}
    if source_sha256 is not None:
        metadata[SOURCE_KEY] = source_sha256
    with atomic_file(path) as part:
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, part, metadata)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from error


def replace_card(path: Path, card: Card) -> None:
    """Give a model file that nlvid wrote another card. Its tensors stay as they are.

    Raises:
        ModelFileError: As for :func:`open_checkpoint`.
        OSError: The folder is not writable, or the disk is full.
    """
    _, metadata, tensors = _read(os.fspath(path))
    write_checkpoint(path.resolve(), card, tensors, metadata.get(SOURCE_KEY))


def in_fp16(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors in fp16, at half the size and with 11 bits of their precision.

    Raises:
        ModelFileError: A value is too large for fp16 (65,504).
    """
    with np.errstate(over="ignore"):
        halved = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    for name, tensor in halved.items():
        if not np.isfinite(tensor).all():
            raise ModelFileError(f"{name}: a value is too large for fp16; keep the weights in fp32")
    return halved


def _read(where: str) -> tuple[Card, dict[str, str], dict[str, np.ndarray]]:
    """Read card, metadata and tensors as they are in the file."""
    try:
        check_header(Path(where), where)
        with safe_open(where, framework="numpy") as file:
            metadata = file.metadata()
            card = _card_in(metadata, where)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, tensor in tensors.items():
            if tensor.dtype.kind not in "biuf":  # packages such as ml_dtypes teach numpy more types, such as bfloat16
                raise TypeError(f"{name} is of type {tensor.dtype}")
        return card, metadata, tensors
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise _unreadable(where, error) from None


def _card_in(metadata: dict[str, str] | None, where: str) -> Card:
    text = (metadata or {}).get(CARD_KEY)
    if text is None:
        raise NoCard(f"{where}: the file has no model card ({CARD_KEY} in its metadata); give a file that nlvid wrote")
    return card_from_json(text, where)


def _unreadable(where: str, error: Exception) -> ModelFileError:
    if not os.path.isfile(where):
        return ModelFileError(f"{where}: no such model file")
    return ModelFileError(
        f"{where}: not a readable safetensors file ({error}); if it is in the cache, delete it, and "
        "`nlvid models pull` downloads it again"
    )
