"""The network to train: a base with trained weights, or a small network with random weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nlvid_cli.card.architecture import Architecture, Head, Kernel3d, NonLocal, ResNetArchitecture
from nlvid_cli.card.card import MAX_TEXT, Card, Labels, Preprocess, Sampling
from nlvid_cli.card.manifest import label_names
from nlvid_cli.datasets.labelled import Kind
from nlvid_cli.errors import DataSetError, InputShapeError, UsageError, did_you_mean
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
"""Network of ``--scratch``: 1.9 M parameters. res3 and res4 have room for exactly five non-local blocks."""


@dataclass(frozen=True)
class Base:
    """Model that training starts from.

    Attributes:
        card: Card of the model.
        tensors: Weights by name; None for random weights.
    """

    card: Card
    tensors: Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class Trainee:
    """The network to train.

    Attributes:
        card: Card of the trained model. Its name, texts, and accuracy are still those of the base.
        network: The network, with the weights of the base where it has them.
        fresh: Names of the tensors that start from random weights.
        frozen: Normalisation layers that are not trained, nor their statistics updated.
    """

    card: Card
    network: nn.Module
    fresh: frozenset[str]
    frozen: frozenset[nn.Module]

    @property
    def has_new_head(self) -> bool:
        """Whether the head starts from random weights, and other layers do not."""
        return any(name.startswith("head.") for name in self.fresh) and len(self.fresh) < len(self.network.state_dict())

    @property
    def trains_only_head(self) -> bool:
        """Whether all layers but the head stay as they are."""
        return all(name.startswith("head.") for name, own in self.network.named_parameters() if own.requires_grad)

    def train_mode(self) -> None:
        """Put all layers except frozen normalisation into training mode."""
        self.network.train()
        for layer in self.frozen:
            layer.eval()


ALL = "all"
"""Value of ``--freeze`` that leaves only the head to be trained."""

SCRATCH = Base(SMALL, None)
"""The small network with random weights."""


def make_trainee(
    base: Base, classes: Sequence[str], label_kind: Kind, recipe: Recipe, nonlocal_blocks: str | None, seed: int
) -> Trainee:
    """Build the network, with a new head if the classes differ, and with non-local blocks if asked for.

    Args:
        base: Model to start from.
        classes: Classes of the data set.
        label_kind: ``single`` for one label per video, or ``multi``.
        recipe: Recipe with the frames, step, crop, and frozen layers.
        nonlocal_blocks: Blocks to insert, see :func:`nonlocal_places`; None for none.
        seed: Random seed of the weights.

    Raises:
        UsageError: A layer does not exist, or there is no room for the blocks.
        DataSetError: A label is longer than a card allows.
        CheckpointMismatch: The weights of the base do not fit its network.
    """
    card = _with_blocks(_card_for(base.card, classes, label_kind, recipe), nonlocal_blocks)
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
    """Return the layers that non-local blocks follow.

    As in "Non-local Neural Networks", section 4: 1 block goes before the last residual block of res4; 5 go after every
    other block, 2 in res3 and 3 in res4; 10 are 4 in res3 and 6 in res4. In Inception, mixed_3 and mixed_4 take the
    place of res3 and res4.

    Args:
        count_or_names: ``0``, ``1``, ``5``, ``10``, or names of layers, separated by commas.
        card: Card of the network.

    Raises:
        UsageError: The network has no room for the blocks.
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
            f"--nonlocal {count_or_names}: {in_third} and {in_fourth} blocks need as many layers in the third and the "
            f"fourth stage, and {card.name} has {len(third)} and {len(fourth)}; name layers, such as --nonlocal "
            f"{(third + fourth)[-1]}"
        )
    return (*_spread(third, in_third), *_spread(fourth, in_fourth))


def tensors_of(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Return weights as model files hold them: on the CPU, and without batch norm's counters of batches."""
    return {name: tensor.detach().float().cpu().numpy() for name, tensor in state.items() if "num_batches" not in name}


def _card_for(card: Card, classes: Sequence[str], label_kind: Kind, recipe: Recipe) -> Card:
    """Return the card of the base with these classes, and the recipe's frames, step, and crop."""
    if (card.labels.kind, label_names(card)) == (label_kind, tuple(classes)):
        labels = card.labels
    else:
        longest = max(classes, key=len)
        if len(longest) > MAX_TEXT:
            raise DataSetError(f"the label {longest[:40]!r}... has {len(longest)} letters; a model holds {MAX_TEXT}")
        labels = Labels(label_kind, len(classes), names=tuple(classes))
    rules = card.preprocess
    crop = recipe.crop or rules.crop
    old = card.sampling
    sampling = replace(old, frames=recipe.frames or old.frames, step=recipe.step or old.step)
    preprocess = replace(rules, crop=crop, short_side=round(rules.short_side * crop / rules.crop))
    architecture = _cut(card, recipe.until)
    head = card.architecture.head
    if recipe.until or (labels.kind, sampling.frames, crop) != (card.labels.kind, old.frames, rules.crop):
        head = Head("mean_of_sigmoid" if label_kind == "multi" else "softmax_of_mean")
    return replace(
        card,
        architecture=replace(architecture, head=head),
        labels=labels,
        sampling=sampling,
        preprocess=preprocess,
        temperature=1.0,
    )


def _cut(card: Card, until: str | None) -> Architecture:
    """Return the network of the base, or its first layers, which are general, small, and quick on a CPU."""
    if until is None:
        return card.architecture
    ends = card.architecture.ends
    if not ends:
        raise UsageError(f"--until {until}: {card.name} cannot be cut; only the Inception I3D can (--base i3d)")
    if until not in ends:
        raise did_you_mean("layer", until, ends, f"--until takes one of {', '.join(ends)}")
    return card.architecture.ending_after(until)


def _with_blocks(card: Card, nonlocal_blocks: str | None) -> Card:
    places = () if nonlocal_blocks is None else nonlocal_places(nonlocal_blocks, card)
    if nonlocal_blocks is not None and card.architecture.nonlocal_blocks is not None:
        raise UsageError(
            f"--nonlocal: {card.name} already has non-local blocks; remove --nonlocal, or choose another --base"
        )
    if not places:
        return card
    return replace(card, architecture=replace(card.architecture, nonlocal_blocks=NonLocal(after=places)))


def _spread(places: Sequence[str], count: int) -> list[str]:
    """Return ``count`` of the places at even distances, the last one among them."""
    return [places[(number + 1) * len(places) // count - 1] for number in range(count)]


def _adopt(network: nn.Module, base: Base, keep_head: bool) -> frozenset[str]:
    """Load the weights of the base, and return the names of the tensors that it does not have."""
    assert base.tensors is not None
    given = {name: torch.from_numpy(array) for name, array in base.tensors.items()}
    if not keep_head:
        given = {name: tensor for name, tensor in given.items() if not name.startswith("head.")}
    own = network.state_dict()
    layers = {name for name, _ in network.named_children()}  # with --until, only the first ones of the base
    given = {name: tensor for name, tensor in given.items() if name.partition(".")[0] in layers}
    blocks = {name for name in own if ".nonlocal_block." in name and base.card.architecture.nonlocal_blocks is None}
    head = set() if keep_head else {name for name in own if name.startswith("head.")}
    fresh = blocks | head
    load_weights(network, {name: own[name] for name in fresh} | given, base.card.name)
    return frozenset(fresh)


def _freeze(network: nn.Module, recipe: Recipe, fresh: Set[str]) -> Iterable[nn.Module]:
    """Take the frozen parameters out of the gradient, and yield the frozen normalisation layers.

    Everything up to ``recipe.freeze`` is frozen, and all normalisation if the recipe has ``freeze_norm``. Tensors that
    start from random weights are never frozen.
    """
    stages = [name for name, _ in network.named_children()]
    last = stages[-2] if recipe.freeze == ALL else recipe.freeze
    if last is not None and last not in stages:
        raise did_you_mean("layer", last, [*stages, ALL], f"--freeze takes one of {', '.join([*stages, ALL])}")
    frozen = stages[: stages.index(last) + 1] if last else []
    for name, layer in network.named_modules():
        is_frozen = name.partition(".")[0] in frozen or (recipe.freeze_norm and is_norm(layer))
        if is_frozen:
            for own, parameter in layer.named_parameters(recurse=False):
                parameter.requires_grad_(f"{name}.{own}" in fresh)
        if is_frozen and is_norm(layer) and f"{name}.weight" not in fresh:
            yield layer


def is_norm(layer: nn.Module) -> bool:
    """Whether a layer normalises its input."""
    return isinstance(layer, nn.BatchNorm3d | nn.SyncBatchNorm | ChannelAffine)
