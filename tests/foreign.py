"""Checkpoints in the forms that others publish, made from nlvid's tensors: the readers' way, backwards.

Names and containers are those of the published files, written down here once more and independently of the readers.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nlvid_cli.card.architecture import NonLocal
from nlvid_cli.card.card import Card
from tests.golden.builder import dump_python2

Tensors = dict[str, np.ndarray]
Rules = list[tuple[str, str | Callable[[re.Match[str]], str]]]


def make_tensors(card: Card, seed: int) -> Tensors:
    """Random weights for the card's network, such that activations keep their size from layer to layer."""
    import torch

    from nlvid_cli.network.build import build_network

    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in build_network(card).state_dict().items()}
    random = np.random.default_rng(seed)
    blocks = card.architecture.nonlocal_blocks
    return {name: _fill(name, shape, blocks, random) for name, shape in shapes.items() if "num_batches" not in name}


def _fill(name: str, shape: tuple[int, ...], blocks: NonLocal | None, random: np.random.Generator) -> np.ndarray:
    if len(shape) > 1:
        deviation = np.float32(np.sqrt(_gain(name, blocks) / np.prod(shape[1:])))
        return random.standard_normal(shape, np.float32) * deviation
    if name.endswith(("running_var", "norm.weight")):
        last = ("conv3.norm.weight", "out.norm.weight")  # so that what residual blocks add up stays small
        scale = 0.3 if name.endswith(last) else 1.0
        return (random.random(shape, np.float32) + np.float32(0.5)) * np.float32(scale)
    return random.standard_normal(shape, np.float32) * np.float32(0.1)


def _gain(name: str, blocks: NonLocal | None) -> float:
    """Of the variance; such that attention is neither flat nor on one position, and products do not run away."""
    if blocks is None or ".nonlocal_block." not in name:
        return 1.0
    if name.endswith(("theta.weight", "phi.weight")):
        return 0.003 if blocks.pairwise == "dot_product" else 4.0 if blocks.scaled else 0.16
    return 0.1 if blocks.norm == "none" else 1.0


def write_foreign(card: Card, tensors: Tensors, path: Path) -> None:
    """Write the file as its publishers do."""
    WRITERS[card.format](card, tensors, path)


def rename(tensors: Tensors, rules: Rules) -> Tensors:
    """Each name by the one rule that fits the whole of it."""
    return {_by_one_rule(name, rules): array for name, array in tensors.items()}


def _by_one_rule(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, name)
        if match is not None:
            return replacement(match) if callable(replacement) else match.expand(replacement)
    raise AssertionError(f"no rule for {name}")


NORM = r"(weight|bias|running_mean|running_var)"
CAFFE2_NORM = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}


def _caffe2(card: Card, tensors: Tensors, path: Path) -> None:
    def norm(prefix: str) -> Callable[[re.Match[str]], str]:
        return lambda match: match.expand(prefix) + "_bn_" + CAFFE2_NORM[match[match.lastindex or 0]]

    blobs = rename(
        tensors,
        [
            (r"stem\.conv\.weight", "conv1_w"),
            (rf"stem\.norm\.{NORM}", norm("res_conv1")),
            (r"res(\d)\.(\d+)\.shortcut\.conv\.weight", r"res\1_\2_branch1_w"),
            (rf"res(\d)\.(\d+)\.shortcut\.norm\.{NORM}", norm(r"res\1_\2_branch1")),
            (r"res(\d)\.(\d+)\.conv([123])\.conv\.weight", lambda m: f"res{m[1]}_{m[2]}_branch2{' abc'[int(m[3])]}_w"),
            (
                rf"res(\d)\.(\d+)\.conv([123])\.norm\.{NORM}",
                lambda m: f"res{m[1]}_{m[2]}_branch2{' abc'[int(m[3])]}_bn_{CAFFE2_NORM[m[4]]}",
            ),
            (r"res(\d)\.(\d+)\.nonlocal_block\.(theta|phi|g)\.(w|b).*", r"nonlocal_conv\1_\2_\3_\4"),
            (r"res(\d)\.(\d+)\.nonlocal_block\.out\.conv\.(w|b).*", r"nonlocal_conv\1_\2_out_\3"),
            (rf"res(\d)\.(\d+)\.nonlocal_block\.out\.norm\.{NORM}", norm(r"nonlocal_conv\1_\2")),
            (r"head\.classifier\.(w|b).*", r"pred_\1"),
        ],
    )
    blobs["pred_w"] = blobs["pred_w"].reshape(blobs["pred_w"].shape[:2])
    blobs |= {"pred_w_momentum": blobs["pred_w"], "lr": np.array(1e-4, np.float32), "model_iter": 400000}
    dump_python2({"blobs": blobs}, path)


def _pytorchvideo(card: Card, tensors: Tensors, path: Path) -> None:
    def block(match: re.Match[str]) -> str:
        stage = {"2": 1, "3": 3, "4": 4, "5": 5}[match[1]]
        return f"blocks.{stage}.res_blocks.{match[2]}"

    norm = [(rf"stem\.norm\.{NORM}", r"blocks.0.norm.\1")]
    state = rename(
        tensors,
        [
            (r"stem\.conv\.weight", "blocks.0.conv.weight"),
            *norm,
            (r"res(\d)\.(\d+)\.shortcut\.conv\.weight", lambda m: f"{block(m)}.branch1_conv.weight"),
            (rf"res(\d)\.(\d+)\.shortcut\.norm\.{NORM}", lambda m: f"{block(m)}.branch1_norm.{m[3]}"),
            (
                rf"res(\d)\.(\d+)\.conv([123])\.(conv|norm)\.{NORM}",
                lambda m: f"{block(m)}.branch2.{m[4]}_{' abc'[int(m[3])]}.{m[5]}",
            ),
            (r"head\.classifier\.(weight|bias)", r"blocks.6.proj.\1"),
        ],
    )
    prefix = "model." if "pyslowfast" in card.name else ""
    _save({"model_state": _torch(_flat_head(state, "blocks.6.proj.weight"), prefix), "optimizer_state": {}}, path)


def _mmaction2(card: Card, tensors: Tensors, path: Path) -> None:
    def layer(match: re.Match[str]) -> str:
        return f"backbone.layer{int(match[1]) - 1}.{match[2]}"

    def unit(kind: str) -> str:
        return {"conv": "conv", "norm": "bn"}[kind]

    state = rename(
        tensors,
        [
            (rf"stem\.(conv|norm)\.{NORM}", lambda m: f"backbone.conv1.{unit(m[1])}.{m[2]}"),
            (
                rf"res(\d)\.(\d+)\.shortcut\.(conv|norm)\.{NORM}",
                lambda m: f"{layer(m)}.downsample.{unit(m[3])}.{m[4]}",
            ),
            (rf"res(\d)\.(\d+)\.conv(\d)\.(conv|norm)\.{NORM}", lambda m: f"{layer(m)}.conv{m[3]}.{unit(m[4])}.{m[5]}"),
            (
                r"res(\d)\.(\d+)\.nonlocal_block\.(theta|phi|g)\.(weight|bias)",
                lambda m: f"{layer(m)}.non_local_block.{_mmcv_conv(m[3], card)}.{m[4]}",
            ),
            (
                rf"res(\d)\.(\d+)\.nonlocal_block\.out\.(conv|norm)\.{NORM}",
                lambda m: f"{layer(m)}.non_local_block.conv_out.{unit(m[3])}.{m[4]}",
            ),
            (r"head\.classifier\.(weight|bias)", r"cls_head.fc_cls.\1"),
        ],
    )
    if card.name.startswith("c2d"):  # convolutions of single frames
        state = {name: array[:, :, 0] if array.ndim == 5 else array for name, array in state.items()}
        state["cls_head.fc_cls.weight"] = state["cls_head.fc_cls.weight"][:, :, None]
    state = _flat_head(state, "cls_head.fc_cls.weight")
    _save({"meta": {"epoch": 100, "seed": 0}, "state_dict": _torch(state)}, path)


def _mmcv_conv(name: str, card: Card) -> str:
    """Where mmcv's block pools behind a convolution, the two are a Sequential."""
    return "theta.conv" if name == "theta" else f"{name}.0.conv"


def _gluoncv(card: Card, tensors: Tensors, path: Path) -> None:
    def layer(match: re.Match[str]) -> str:
        return f"res_layers.{int(match[1]) - 2}.{match[2]}"

    def pair(kind: str) -> str:
        return {"conv": "0", "norm": "1"}[kind]

    state = rename(
        tensors,
        [
            (rf"stem\.(conv|norm)\.{NORM}", lambda m: f"first_stage.{pair(m[1])}.{m[2]}"),
            (
                rf"res(\d)\.(\d+)\.shortcut\.(conv|norm)\.{NORM}",
                lambda m: f"{layer(m)}.downsample.{pair(m[3])}.{m[4]}",
            ),
            (r"res(\d)\.(\d+)\.conv(\d)\.conv\.weight", lambda m: f"{layer(m)}.conv{m[3]}.weight"),
            (rf"res(\d)\.(\d+)\.conv(\d)\.norm\.{NORM}", lambda m: f"{layer(m)}.bn{m[3]}.{m[4]}"),
            (
                r"res(\d)\.(\d+)\.nonlocal_block\.(theta|phi|g)\.(weight|bias)",
                lambda m: f"{layer(m)}.nonlocal_block.{m[3]}.{m[4]}",
            ),
            (
                rf"res(\d)\.(\d+)\.nonlocal_block\.out\.(conv|norm)\.{NORM}",
                lambda m: f"{layer(m)}.nonlocal_block.{'W' if m[3] == 'conv' else 'bn'}.{m[4]}",
            ),
            (r"head\.classifier\.(weight|bias)", r"fc.\1"),
        ],
    )
    state = _flat_head(state, "fc.weight")
    aliases = {"fc.": "head.1.", ".nonlocal_block.W.": ".nonlocal_block.W_bn.0.", "_block.bn.": "_block.W_bn.1."}
    for name, array in list(state.items()):
        for original, alias in aliases.items():
            if original in name:
                state[name.replace(original, alias)] = array
    _save(_torch(state), path)


def _flax_i3d(card: Card, tensors: Tensors, path: Path) -> None:
    from nlvid_cli.models.formats.flax_i3d import UNITS

    tree: dict[str, dict[str, object]] = {"params": {}, "batch_stats": {}}

    def put(root: str, keys: tuple[str, ...], array: np.ndarray) -> None:
        place = tree[root]
        for key in keys[:-1]:
            place = place.setdefault(key, {})  # type: ignore[assignment]
        place[keys[-1]] = array

    for unit, keys in UNITS.items():
        put("params", (*keys, "Conv_0", "kernel"), tensors[f"{unit}.conv.weight"].transpose(2, 3, 4, 1, 0))
        put("params", (*keys, "BatchNorm_0", "bias"), tensors[f"{unit}.norm.bias"])
        for theirs, ours in (("mean", "running_mean"), ("var", "running_var")):
            put("batch_stats", (*keys, "BatchNorm_0", theirs), tensors[f"{unit}.norm.{ours}"].reshape(1, 1, 1, 1, -1))
        tensors[f"{unit}.norm.weight"][:] = 1  # the format has no scales
    head = ("Logits/Conv3d_0c_1x1", "Conv_0")
    put("params", (*head, "kernel"), tensors["head.classifier.weight"].transpose(2, 3, 4, 1, 0))
    put("params", (*head, "bias"), tensors["head.classifier.bias"])
    path.write_bytes(pickle.dumps(tree, protocol=4))


def _flat_head(state: Tensors, name: str) -> Tensors:
    """The classifier as a linear layer: (classes, channels, 1, 1, 1) -> (classes, channels)."""
    return state | {name: state[name].reshape(state[name].shape[:2])}


def _torch(state: Tensors, prefix: str = "") -> dict[str, object]:
    import torch

    shared = {id(array): torch.from_numpy(np.ascontiguousarray(array)) for array in state.values()}
    tensors: dict[str, object] = {prefix + name: shared[id(array)] for name, array in state.items()}
    counters = [name.replace("running_mean", "num_batches_tracked") for name in tensors if "running_mean" in name]
    return tensors | {name: torch.zeros((), dtype=torch.int64) for name in counters}


def _save(content: object, path: Path) -> None:
    import torch

    torch.save(content, path)


WRITERS: dict[str, Callable[[Card, Tensors, Path], None]] = {
    "caffe2": _caffe2,
    "pytorchvideo": _pytorchvideo,
    "mmaction2": _mmaction2,
    "gluoncv": _gluoncv,
    "flax-i3d": _flax_i3d,
}
