"""From a checkpoint of another program to nlvid's own file: read, fit to the network of a card, check, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlvid_cli.card.architecture import Architecture
from nlvid_cli.card.card import Card, Labels
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.errors import CheckpointMismatch
from nlvid_cli.models.formats import read_foreign
from nlvid_cli.models.formats.common import Tensors
from nlvid_cli.models.formats.opening import require_file
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.network.build import require_shapes, shapes_of
from nlvid_cli.system.hashes import sha256_of

NO_LABELS = ("nothing",)
"""Labels of a base whose head was left out: training gives it another one."""


def convert(
    path: Path, card: Card, out: Path, note: Callable[[str], None] | None = None, any_head: bool = False
) -> Path:
    """Write the weights in a file as nlvid's own model file, completely or not at all.

    Args:
        path: Checkpoint of any program in ``models.formats.FORMATS``. It is not changed.
        card: Card of the model, stored in the new file.
        out: File to write; an existing one is replaced.
        note: Receives a sentence about what was read.
        any_head: Whether to leave out a head that is not the one of the card, as for a base of training. The card in
            the new file then has the labels :data:`NO_LABELS`, and its summary says so.

    Returns:
        ``out``.

    Raises:
        UnsafeFile: The file asks for something that nlvid does not execute.
        ModelFileError: The file is missing, damaged, of unknown format, or holds a tensor that has no place.
        CheckpointMismatch: The tensors do not fit the card's network. The message names models that they would fit.
        OSError: ``out`` cannot be written.
    """
    require_file(path)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256") as pool:
        source_sha256 = pool.submit(sha256_of, path)
        family, given = read_foreign(path, any_head)
        if any_head:
            card, given = _with_any_head(card, given)
        tensors = fit_norms(given, card.architecture)
        _require_fit(tensors, card, family, given, path.name)
        write_checkpoint(out, card, tensors, source_sha256=source_sha256.result())
    if note is not None:
        size_bytes = sum(tensor.nbytes for tensor in tensors.values())
        note(f"{path.name}: {family} checkpoint; wrote {len(tensors)} tensors, {size_bytes / 1e6:.1f} MB")
    return out


def fit_norms(tensors: Mapping[str, np.ndarray], architecture: Architecture) -> Tensors:
    """Fold norms of the file that the network does not have. Nothing that the file lacks is made up.

    If the network has a scale and shift per channel and the file batch norm, the scale is s / sqrt(var + eps) and the
    shift b - mean * s / sqrt(var + eps). If the network's non-local blocks have no norm and those of the file have one,
    it is folded into the convolution before it.

    Args:
        tensors: Tensors by nlvid's names.
        architecture: Architecture of the network that they are for.

    Returns:
        The tensors that the network needs, if they are of such a network at all.
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


def has_no_head(card: Card) -> bool:
    """Whether a card is that of a base whose head was left out."""
    return card.labels.names == NO_LABELS


def _with_any_head(card: Card, given: Tensors) -> tuple[Card, Tensors]:
    """Return card and tensors as they are if the head is the card's, else with a head of zeros for one class."""
    wanted = {name: shape for name, shape in shapes_of(card).items() if name.startswith("head.")}
    found = {name: tensor.shape for name, tensor in given.items() if name.startswith("head.")}
    if found == wanted:
        return card, given
    classes = _classes_of(given)
    what = "it has no head of one layer" if classes is None else f"its head of {classes} classes is left out"
    zeros = {name: np.zeros((1, *shape[1:]), np.float32) for name, shape in wanted.items()}
    others = {name: tensor for name, tensor in given.items() if not name.startswith("head.")}
    labels = Labels(card.labels.kind, len(NO_LABELS), names=NO_LABELS)
    return replace(card, labels=labels, summary=f"{card.summary}; {what}"), others | zeros


def _classes_of(given: Tensors) -> int | None:
    weight = given.get("head.classifier.weight")
    return None if weight is None else weight.shape[0]


def _require_fit(tensors: Tensors, card: Card, family: str, given: Tensors, where: str) -> None:
    """Raise CheckpointMismatch, naming models that would fit, unless the card's network has exactly these tensors."""
    try:
        require_shapes(card, tensors, where)
    except CheckpointMismatch as error:
        classes = _classes_of(given)
        if classes != card.labels.count and _fits(given, card):
            raise CheckpointMismatch(
                f"{where}: its head has {classes} classes, and the labels are {card.labels.count}; give their names, "
                "one a line, with `nlvid models convert --labels FILE`, or start from it with `nlvid train --base`"
            ) from None
        names = fitting_models(given, family)
        if not names:
            raise
        raise CheckpointMismatch(f"{error}; they fit --as {names[0]} ({len(names)} models have this network)") from None


def fitting_models(given: Tensors, family: str) -> list[str]:
    """Return the names of the models whose network the tensors of a file fit, whatever the number of classes.

    Models with as many classes come first, then those of the program that wrote the file.
    """
    classes = _classes_of(given)

    def order(card: Card) -> tuple[bool, bool]:
        return card.labels.count != classes, card.format != family and family not in card.name

    return [card.name for card in sorted(load_manifest().models, key=order) if _fits(given, card)]


def _fits(given: Tensors, card: Card) -> bool:
    classes = _classes_of(given)
    if not classes:
        return False
    try:
        require_shapes(
            replace(card, labels=replace(card.labels, count=classes)), fit_norms(given, card.architecture), card.name
        )
    except CheckpointMismatch:
        return False
    return True
