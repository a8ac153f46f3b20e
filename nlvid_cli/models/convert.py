"""From a checkpoint of any program to nlvid's own file: read, fit to the network of a card, check, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nlvid_cli.card.architecture import Architecture
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.errors import CheckpointMismatch
from nlvid_cli.models.formats import read_foreign
from nlvid_cli.models.formats.common import Tensors
from nlvid_cli.models.formats.opening import require_file
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.models.store.checksums import sha256_of
from nlvid_cli.network.build import require_shapes


def convert(path: Path, card: Card, out: Path, note: Callable[[str], None] | None = None) -> Path:
    """Write the weights of a file as nlvid's own model file, whole or not at all.

    Args:
        path: a checkpoint of any program in ``models.formats.FORMATS``; it stays as it is.
        card: of the model; goes into the new file.
        out: the new file; one that is there is replaced.
        note: told what was read, in a sentence.

    Returns:
        ``out``.

    Raises:
        UnsafeFile: the file asks for something that nlvid does not execute.
        ModelFileError: it is missing, damaged, of no known format, or holds a tensor that has no place.
        CheckpointMismatch: its tensors and the network of the card do not fit; says which models' networks would.
        OSError: ``out`` cannot be written.
    """
    require_file(path)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256") as pool:
        source_sha256 = pool.submit(sha256_of, path)
        family, given = read_foreign(path)
        tensors = fit_norms(given, card.architecture)
        _require_fit(tensors, card, family, given, path.name)
        write_checkpoint(out, card, tensors, source_sha256=source_sha256.result())
    if note is not None:
        size_bytes = sum(tensor.nbytes for tensor in tensors.values())
        note(f"{path.name}: {family} checkpoint; wrote {len(tensors)} tensors, {size_bytes / 1e6:.1f} MB")
    return out


def fit_norms(tensors: Mapping[str, np.ndarray], architecture: Architecture) -> Tensors:
    """Fold the statistics of norms that the network does not have; what is not in the file is never made up.

    Where the network has a scale and shift per channel, and the file has batch norm, that becomes the scale
    s / sqrt(var + eps) and the shift b - mean * s / sqrt(var + eps). Where the network's non-local blocks have no norm
    and the file's have one, it goes into the convolution before it.

    Args:
        tensors: under nlvid's names.
        architecture: of the network that they are for.

    Returns:
        The tensors that the network takes, if they are of such a network at all.
    """
    fitted = dict(tensors)
    blocks = architecture.nonlocal_blocks
    for name in tensors:
        layer = name.removesuffix(".norm.weight")
        if layer == name or name not in fitted:
            continue
        norm = blocks.norm if blocks and ".nonlocal_block." in name else architecture.norm
        if norm != "batch":
            _fold_statistics(fitted, f"{layer}.norm", architecture.norm_eps)
        if norm == "none":
            _fold_into_convolution(fitted, layer)
    return fitted


def _fold_statistics(tensors: Tensors, norm: str, eps: float) -> None:
    names = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    if len({tensors[name].shape if name in tensors else None for name in names}) != 1:
        return
    scale, shift, mean, variance = (tensors[name].astype(np.float64) for name in names)
    scale = scale / np.sqrt(variance + eps)
    tensors[names[0]] = scale.astype(np.float32)
    tensors[names[1]] = (shift - mean * scale).astype(np.float32)
    del tensors[names[2]], tensors[names[3]]


def _fold_into_convolution(tensors: Tensors, layer: str) -> None:
    names = [f"{layer}.norm.weight", f"{layer}.norm.bias", f"{layer}.conv.weight"]
    statistics = (f"{layer}.norm.running_mean", f"{layer}.norm.running_var")
    if not all(name in tensors for name in names) or any(name in tensors for name in statistics):
        return
    if not tensors[names[0]].shape == tensors[names[1]].shape == tensors[names[2]].shape[:1]:
        return
    scale, shift, weight = (tensors.pop(name).astype(np.float64) for name in names)
    bias = tensors.get(f"{layer}.conv.bias", np.zeros(len(shift), np.float32))
    tensors[names[2]] = (weight * scale.reshape(-1, 1, 1, 1, 1)).astype(np.float32)  # (O, I, T, H, W), scales (O,)
    tensors[f"{layer}.conv.bias"] = (bias * scale + shift).astype(np.float32)


def _require_fit(tensors: Tensors, card: Card, family: str, given: Tensors, where: str) -> None:
    """Raise CheckpointMismatch unless the network of the card has exactly these tensors."""
    try:
        require_shapes(card, tensors, where)
    except CheckpointMismatch as error:
        names = fitting_models(given, family)
        if not names:
            raise
        raise CheckpointMismatch(
            f"{error}; with --as {names[0]} they do ({len(names)} models have such a network)"
        ) from None


def fitting_models(given: Tensors, family: str) -> list[str]:
    """Names of the models whose networks have the tensors of a file, those that are published in its form first."""
    models = [card for card in load_manifest().models if _fits(given, card)]
    return [card.name for card in sorted(models, key=lambda card: card.format != family)]


def _fits(given: Tensors, card: Card) -> bool:
    try:
        require_shapes(card, fit_norms(given, card.architecture), card.name)
    except CheckpointMismatch:
        return False
    return True
