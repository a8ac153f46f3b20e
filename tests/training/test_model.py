from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nlvid_cli.card.architecture import InceptionArchitecture
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import label_names
from nlvid_cli.errors import CheckpointMismatch, DataSetError, UnknownName, UsageError
from nlvid_cli.network.build import build_network, load_weights
from nlvid_cli.training.model import SMALL, Base, make_trainee, nonlocal_places
from nlvid_cli.training.plan import find_base
from nlvid_cli.training.recipe import RECIPES
from tests.conftest import make_card
from tests.training.made import QUICK, TINY

KEEP = replace(QUICK, dropout=0.5)


@pytest.fixture
def base(card: Card, random_tensors: dict[str, np.ndarray]) -> Base:
    return Base(card, random_tensors)


def test_new_blocks_do_not_change_the_outputs_of_the_base(base: Base) -> None:
    assert base.tensors is not None
    names = base.card.labels.names or ()
    trainee = make_trainee(base, names, "single", KEEP, "5", seed=1)
    plain = build_network(base.card)
    load_weights(plain, {name: torch.from_numpy(array) for name, array in base.tensors.items()}, "base")
    clips = torch.randn(2, 3, 8, 64, 64)
    with torch.no_grad():
        assert trainee.network(clips).equal(plain(clips))
    assert trainee.card.architecture.nonlocal_blocks is not None
    assert len([name for name in trainee.fresh if name.endswith("g.weight")]) == 5
    assert not any(name.startswith("head.") for name in trainee.fresh)


@pytest.mark.network
def test_new_blocks_do_not_change_the_outputs_of_the_real_i3d() -> None:
    real = find_base("i3d")
    assert real.tensors is not None
    trainee = make_trainee(real, label_names(real.card), "single", RECIPES["finetune"], "5", seed=1)
    plain = build_network(real.card)
    load_weights(plain, {name: torch.from_numpy(array) for name, array in real.tensors.items()}, "i3d")
    assert len([name for name in trainee.fresh if name.endswith("g.weight")]) == 5
    clips = torch.randn(1, 3, 16, 224, 224)
    with torch.no_grad():
        assert trainee.network.eval()(clips).equal(plain.eval()(clips))


def test_a_label_that_no_card_can_hold(base: Base) -> None:
    with pytest.raises(DataSetError, match="letters"):
        make_trainee(base, ("run", "x" * 1001), "single", KEEP, None, seed=1)


def test_the_beginning_of_a_base_is_a_base(base: Base) -> None:
    recipe = replace(KEEP, until="mixed_4b")
    trainee = make_trainee(base, base.card.labels.names or (), "single", recipe, "mixed_4b", seed=1)
    assert isinstance(trainee.card.architecture, InceptionArchitecture)
    assert trainee.card.architecture.last == "mixed_4b"
    assert base.tensors is not None
    for name, tensor in trainee.network.state_dict().items():
        if name not in trainee.fresh and "num_batches" not in name:
            np.testing.assert_array_equal(tensor.numpy(), base.tensors[name])
    assert {name.partition(".")[0] for name in trainee.fresh} == {"mixed_4b", "head"}
    assert all(".nonlocal_block." in name or name.startswith("head.") for name in trainee.fresh)
    clips = torch.randn(1, 3, 8, 64, 64)
    assert trainee.network(clips).shape == (1, 5, 1, 1, 1)


def test_blocks_find_room_in_the_beginning_of_a_base() -> None:
    inception = Base(make_card(), None)
    cards = {
        last: make_trainee(inception, ("a", "b"), "single", replace(KEEP, until=last), blocks, seed=1).card
        for last, blocks in (("mixed_4d", "5"), ("mixed_4b", "1"))
    }
    after = {last: card.architecture.nonlocal_blocks.after for last, card in cards.items()}  # type: ignore[union-attr]
    assert after == {
        "mixed_4d": ("mixed_3b", "mixed_3c", "mixed_4b", "mixed_4c", "mixed_4d"),
        "mixed_4b": ("mixed_4b",),
    }
    with pytest.raises(UsageError, match=r"has 2 and 1; .* --nonlocal mixed_4b"):
        make_trainee(inception, ("a", "b"), "single", replace(KEEP, until="mixed_4b"), "5", seed=1)


def test_a_network_ends_at_layers_only() -> None:
    inception = Base(make_card(), None)
    with pytest.raises(UnknownName, match="did you mean 'mixed_4"):
        make_trainee(inception, ("a", "b"), "single", replace(KEEP, until="mixed_4x"), None, seed=1)
    with pytest.raises(UsageError, match="only the Inception I3D"):
        make_trainee(TINY, ("a", "b"), "single", replace(KEEP, until="res4"), None, seed=1)


def test_the_beginning_of_a_base_cannot_grow_again() -> None:
    beginning = Base(make_card(architecture=replace(make_card().architecture, last="mixed_4b")), None)
    with pytest.raises(UnknownName, match="layer"):
        make_trainee(beginning, ("a", "b"), "single", replace(KEEP, until="mixed_5b"), None, seed=1)


def test_no_memory_is_allocated_for_tensors_missing_from_the_file(base: Base) -> None:
    large = replace(TINY.card, architecture=replace(TINY.card.architecture, width=2**16))
    with pytest.raises(CheckpointMismatch, match=r"missing res2\.0\.conv1\.conv\.weight"):
        make_trainee(Base(large, base.tensors), ("a", "b"), "single", KEEP, None, seed=1)


def test_the_head_is_replaced_if_classes_differ(base: Base) -> None:
    trainee = make_trainee(base, ("walk", "run"), "multi", KEEP, None, seed=1)
    assert trainee.network.get_parameter("head.classifier.weight").shape[0] == 2
    assert trainee.fresh == {"head.classifier.weight", "head.classifier.bias"}
    assert (trainee.card.labels.kind, trainee.card.labels.names) == ("multi", ("walk", "run"))
    assert trainee.card.architecture.head.scores == "mean_of_sigmoid"


def test_the_seed_decides_random_weights() -> None:
    first, again, other = (make_trainee(TINY, ("a", "b"), "single", KEEP, None, seed) for seed in (1, 1, 2))
    state = first.network.state_dict()
    assert all(tensor.equal(again.network.state_dict()[name]) for name, tensor in state.items())
    assert not state["stem.conv.weight"].equal(other.network.state_dict()["stem.conv.weight"])


def test_new_blocks_are_not_frozen(base: Base) -> None:
    recipe = replace(KEEP, freeze_norm=True, freeze="mixed_4f")
    trainee = make_trainee(base, ("walk", "run"), "single", recipe, "1", seed=1)
    learning = {name for name, parameter in trainee.network.named_parameters() if parameter.requires_grad}
    assert all(
        name in learning for name in trainee.fresh if not name.endswith(("running_mean", "running_var", "tracked"))
    )
    assert {name for name in learning if name.startswith("mixed_5b")}
    assert not {name for name in learning if name.startswith("mixed_4") and name not in trainee.fresh}


def test_other_frames_and_crops() -> None:
    trainee = make_trainee(TINY, ("a", "b"), "single", replace(KEEP, frames=4, step=3, crop=64), None, seed=0)
    card = trainee.card
    assert (card.sampling.frames, card.sampling.step, card.preprocess.crop, card.preprocess.short_side) == (
        4,
        3,
        64,
        72,
    )


R50 = replace(SMALL, architecture=replace(SMALL.architecture, blocks=(3, 4, 6, 3)))


@pytest.mark.parametrize(
    ("count", "places"),
    [
        ("1", "res4.4"),
        ("5", "res3.1 res3.3 res4.1 res4.3 res4.5"),
        ("10", "res3.0 res3.1 res3.2 res3.3 res4.0 res4.1 res4.2 res4.3 res4.4 res4.5"),
        ("res5.0, res2.1", "res5.0 res2.1"),
        ("0", ""),
    ],
)
def test_places_of_blocks_are_those_of_the_paper(count: str, places: str) -> None:
    assert nonlocal_places(count, R50) == tuple(places.split())


def test_ten_blocks_of_a_resnet101_are_where_they_were_published() -> None:
    deep = replace(SMALL, architecture=replace(SMALL.architecture, blocks=(3, 4, 23, 3)))
    in_res4 = [name for name in nonlocal_places("10", deep) if name.startswith("res4")]
    assert in_res4 == ["res4.2", "res4.6", "res4.10", "res4.14", "res4.18", "res4.22"]


def test_the_small_network_has_room_for_five() -> None:
    trainee = make_trainee(Base(SMALL, None), ("a", "b"), "single", KEEP, "5", seed=0)
    assert sum(parameter.numel() for parameter in trainee.network.parameters()) < 3e6
    with pytest.raises(UsageError, match="has 2 and 3"):
        make_trainee(Base(SMALL, None), ("a", "b"), "single", KEEP, "10", seed=0)


def test_unknown_layers_and_blocks_that_exist_already(base: Base) -> None:
    with pytest.raises(UsageError, match=r"no layer 'res9\.0'"):
        make_trainee(TINY, ("a", "b"), "single", KEEP, "res9.0", seed=0)
    grown = make_trainee(base, ("a", "b"), "single", KEEP, "1", seed=0)
    with pytest.raises(UsageError, match="non-local blocks"):
        make_trainee(Base(grown.card, base.tensors), ("a", "b"), "single", KEEP, "1", seed=0)
