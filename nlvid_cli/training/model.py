"""The network to train: out of a base with trained weights, or a small one from random weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nlvid_cli.card.architecture import Architecture, Head, Kernel3d, NonLocal, ResNetArchitecture
from nlvid_cli.card.card import Card, Labels, Preprocess, Sampling
from nlvid_cli.card.manifest import label_names
from nlvid_cli.errors import InputShapeError, UsageError, did_you_mean
from nlvid_cli.network.build import build_network, load_weights, require_shapes
from nlvid_cli.network.units import ChannelAffine
from nlvid_cli.training.recipe import Recipe

SMALL = Card(
    name="small",
    summary="a small I3D ResNet from random weights",
    paper="none",
    licence="as its author decides; trained from random weights",
    origin="nlvid train --scratch",
    format="safetensors",
    sources=(),
    architecture=ResNetArchitecture(
        "resnet",
        blocks=(1, 2, 3, 1),
        stem=Kernel3d((3, 7, 7), (1, 2, 2), (1, 3, 3)),
        pool1=Kernel3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        head=Head("softmax_of_mean"),
        block="basic",
        width=24,
        pool2=Kernel3d((2, 1, 1), (2, 1, 1)),
        inflate=((0,), (0, 1), (0, 1, 2), (0,)),
        inflate_kernel="3x3x3",
    ),
    sampling=Sampling(frames=16, step=2, clips=4, clip_starts="ends", short_video="loop"),
    preprocess=Preprocess(128, 112, 1, "swscale_bilinear", (127.5,) * 3, (63.75,) * 3),
    labels=Labels("single", 1, names=("nothing",)),
)
"""The network of ``--scratch``: 1.9 M parameters. res3 and res4 have room for exactly five non-local blocks."""


@dataclass(frozen=True)
class Base:
    """What training goes on from.

    Attributes:
        card: of the model.
        tensors: its weights by name; None: random ones.
    """

    card: Card
    tensors: Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class Trainee:
    """The network to train.

    Attributes:
        card: as the trained model will have it; its name, its texts and its accuracy are those of the base.
        network: with the base's weights where it has them.
        fresh: names of the tensors that start from random weights.
        frozen: normalisation that stays as it is, statistics included.
    """

    card: Card
    network: nn.Module
    fresh: frozenset[str]
    frozen: frozenset[nn.Module]

    def train_mode(self) -> None:
        """Training mode for everything but frozen normalisation."""
        self.network.train()
        for layer in self.frozen:
            layer.eval()


SCRATCH = Base(SMALL, None)
"""The small network, with random weights."""


def make_trainee(
    base: Base, classes: Sequence[str], kind: str, recipe: Recipe, nonlocal_blocks: str | None, seed: int
) -> Trainee:
    """Build the network, with a new head where the classes differ and with fresh non-local blocks where wanted.

    Args:
        base: to go on from.
        classes: of the data set.
        kind: ``single`` or ``multi``.
        recipe: frames, step, crop, freezing.
        nonlocal_blocks: 1, 5 or 10, as in the paper; names of layers, separated by commas; 0 or None: no fresh ones.
        seed: of random weights.

    Raises:
        UsageError: a layer is not known, or the blocks have no room.
        CheckpointMismatch: the base's weights are not those of its network.
    """
    card = _with_blocks(_card_for(base.card, classes, kind, recipe), nonlocal_blocks)
    if base.tensors is not None:
        require_shapes(base.card, base.tensors, base.card.name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            network = build_network(card)
        except InputShapeError as error:
            raise UsageError(f"--nonlocal: {error}") from None
    fresh = frozenset(network.state_dict())
    if base.tensors is not None:
        fresh = _adopt(network, base, keep_head=card.labels == base.card.labels and not recipe.until)
    return Trainee(card, network, fresh, frozenset(_freeze(network, recipe, fresh)))


def nonlocal_places(count_or_names: str, card: Card) -> tuple[str, ...]:
    """Layers that fresh blocks follow.

    "Non-local Neural Networks", section 4: 1 before the last block of res4; 5 are 2 in res3 and 3 in res4, every other
    block; 10 are 4 and 6. Inception's mixed_3 and mixed_4 stand for res3 and res4.

    Raises:
        UsageError: the network has no room for so many.
    """
    third, fourth = card.architecture.stages[3], card.architecture.stages[4]
    choices = {
        "0": (0, 0),
        "1": (0, 1),
        "5": (2, 3),
        "10": (4, 6),
    }
    if count_or_names not in choices:
        return tuple(name.strip() for name in count_or_names.split(",") if name.strip())
    if count_or_names == "1":
        return tuple(fourth[-2:-1] or fourth)
    in_third, in_fourth = choices[count_or_names]
    if in_third > len(third) or in_fourth > len(fourth):
        raise UsageError(
            f"--nonlocal {count_or_names}: {card.name} has {len(third)} and {len(fourth)} layers in the stages for "
            f"{in_third} and {in_fourth} blocks; name layers instead, such as --nonlocal {(third + fourth)[-1]}"
        )
    return (*_spread(third, in_third), *_spread(fourth, in_fourth))


def tensors_of(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Weights as model files hold them: by name, on the CPU, without counters of batches."""
    return {name: tensor.detach().float().cpu().numpy() for name, tensor in state.items() if "num_batches" not in name}


def _card_for(card: Card, classes: Sequence[str], kind: str, recipe: Recipe) -> Card:
    """The base's card for these classes, frames and pixels."""
    if (card.labels.kind, label_names(card)) == (kind, tuple(classes)):
        labels = card.labels
    else:
        labels = Labels("multi" if kind == "multi" else "single", len(classes), names=tuple(classes))
    rules = card.preprocess
    crop = recipe.crop or rules.crop
    old = card.sampling
    sampling = replace(old, frames=recipe.frames or old.frames, step=recipe.step or old.step)
    preprocess = replace(rules, crop=crop, short_side=round(rules.short_side * crop / rules.crop))
    architecture = _cut(card, recipe.until)
    head = card.architecture.head
    if recipe.until or (labels.kind, sampling.frames, crop) != (card.labels.kind, old.frames, rules.crop):
        head = Head("mean_of_sigmoid" if kind == "multi" else "softmax_of_mean")
    return replace(
        card,
        architecture=replace(architecture, head=head),
        labels=labels,
        sampling=sampling,
        preprocess=preprocess,
        temperature=1.0,
    )


def _cut(card: Card, until: str | None) -> Architecture:
    """The base's network, or its beginning: early layers are general, small, and quick on a CPU."""
    if until is None:
        return card.architecture
    ends = card.architecture.ends
    if not ends:
        raise UsageError(f"--until {until}: {card.name} cannot end early; only the Inception I3D can (--base i3d)")
    if until not in ends:
        raise did_you_mean("layer", until, ends, f"--until takes one of {', '.join(ends)}")
    return card.architecture.ending_after(until)


def _with_blocks(card: Card, nonlocal_blocks: str | None) -> Card:
    places = () if nonlocal_blocks is None else nonlocal_places(nonlocal_blocks, card)
    if nonlocal_blocks is not None and card.architecture.nonlocal_blocks is not None:
        raise UsageError(
            f"--nonlocal: {card.name} has non-local blocks already; leave it out, or choose another --base"
        )
    if not places:
        return card
    return replace(card, architecture=replace(card.architecture, nonlocal_blocks=NonLocal(after=places)))


def _spread(places: Sequence[str], count: int) -> list[str]:
    """So many of them at even distances, the last one among them."""
    return [places[(number + 1) * len(places) // count - 1] for number in range(count)]


def _adopt(network: nn.Module, base: Base, keep_head: bool) -> frozenset[str]:
    """Load the base's weights, and tell the names of those that it does not have."""
    assert base.tensors is not None
    given = {name: torch.from_numpy(array) for name, array in base.tensors.items()}
    if not keep_head:
        given = {name: tensor for name, tensor in given.items() if not name.startswith("head.")}
    own = network.state_dict()
    layers = {name for name, _ in network.named_children()}  # with --until, only the beginning of the base's
    given = {name: tensor for name, tensor in given.items() if name.partition(".")[0] in layers}
    blocks = {name for name in own if ".nonlocal_block." in name and base.card.architecture.nonlocal_blocks is None}
    head = set() if keep_head else {name for name in own if name.startswith("head.")}
    fresh = blocks | head
    load_weights(network, {name: own[name] for name in fresh} | given, base.card.name)
    return frozenset(fresh)


def _freeze(network: nn.Module, recipe: Recipe, fresh: Set[str]) -> Iterable[nn.Module]:
    """Take what stays as it is out of the gradient; tells the norms among it.

    That is everything up to ``recipe.freeze``, and with ``recipe.freeze_norm`` all norms; but nothing fresh.
    """
    stages = [name for name, _ in network.named_children()]
    if recipe.freeze is not None and recipe.freeze not in stages:
        raise did_you_mean("layer", recipe.freeze, stages, f"--freeze takes one of {', '.join(stages)}")
    still = stages[: stages.index(recipe.freeze) + 1] if recipe.freeze else []
    for name, layer in network.named_modules():
        is_still = name.partition(".")[0] in still or (recipe.freeze_norm and is_norm(layer))
        if is_still:
            for own, parameter in layer.named_parameters(recurse=False):
                parameter.requires_grad_(f"{name}.{own}" in fresh)
        if is_still and is_norm(layer) and f"{name}.weight" not in fresh:
            yield layer


def is_norm(layer: nn.Module) -> bool:
    """Whether a layer is a normalisation."""
    return isinstance(layer, nn.BatchNorm3d | nn.SyncBatchNorm | ChannelAffine)
