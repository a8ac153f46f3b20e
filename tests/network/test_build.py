"""Tests of nlvid_cli/network/build.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, load_manifest
from nlvid_cli.errors import CheckpointMismatch
from nlvid_cli.network.build import ARCHITECTURES, build_network, build_on_meta, load_network, load_weights
from nlvid_cli.network.inference import inference_form


@pytest.fixture
def tensors(random_tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in random_tensors.items()}


def test_loads_what_fits(card: Card, tensors: dict[str, torch.Tensor]) -> None:
    network = build_network(card)
    load_weights(network, tensors, "a.safetensors")
    for name, tensor in tensors.items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert not network.training


def test_missing_tensor_is_named(card: Card, tensors: dict[str, torch.Tensor]) -> None:
    del tensors["mixed_4b.branch1.conv.weight"]
    with pytest.raises(CheckpointMismatch, match=r"^a\.safetensors: .*missing mixed_4b\.branch1\.conv\.weight$"):
        load_weights(build_network(card), tensors, "a.safetensors")


def test_unexpected_tensor_is_named(card: Card, tensors: dict[str, torch.Tensor]) -> None:
    tensors["mixed_9z.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointMismatch, match=r"unexpected mixed_9z\.weight$"):
        load_weights(build_network(card), tensors, "a.safetensors")


def test_a_wrong_shape_is_named_and_nothing_is_loaded(card: Card, tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.classifier.bias"] = torch.zeros(7)
    network = build_network(card)
    before = network.state_dict()["conv_1a.conv.weight"].clone()
    with pytest.raises(CheckpointMismatch, match=r"head\.classifier\.bias is \(7,\), the network needs \(5,\)"):
        load_weights(network, tensors, "a.safetensors")
    assert torch.equal(network.state_dict()["conv_1a.conv.weight"], before)


def test_a_network_with_trained_weights(card: Card, random_tensors: dict[str, np.ndarray]) -> None:
    network = load_network(card, random_tensors)
    loaded = network.state_dict()
    assert all(np.array_equal(loaded[name].numpy(), array) for name, array in random_tensors.items())
    assert all(tensor.isfinite().all() for tensor in loaded.values())
    assert not network.training


def test_arrays_of_any_layout_and_type_are_loaded(card: Card, random_tensors: dict[str, np.ndarray]) -> None:
    arrays = {name: array.astype(np.float16) for name, array in random_tensors.items()}
    expected = {name: array.astype(np.float32) for name, array in arrays.items()}
    turned, swapped, locked, *_ = (name for name, array in arrays.items() if array.ndim == 5)
    arrays[turned] = np.asfortranarray(arrays[turned])
    arrays[swapped] = arrays[swapped].astype(">f8")
    arrays[locked].flags.writeable = False
    counters = {"conv_1a.norm.num_batches_tracked": np.array(7)}
    network = load_network(card, arrays | counters)
    loaded = network.state_dict()
    assert all(np.array_equal(loaded[name].numpy(), array) for name, array in expected.items())
    assert all(tensor.is_contiguous() for tensor in loaded.values())
    assert all(tensor == 0 for name, tensor in loaded.items() if name not in expected)
    assert {tensor.device.type for tensor in (*network.parameters(), *network.buffers())} == {"cpu"}


def test_the_inference_form_leaves_the_arrays_as_they_are(card: Card, random_tensors: dict[str, np.ndarray]) -> None:
    before = {name: array.copy() for name, array in random_tensors.items()}
    network = load_network(card, random_tensors)
    inference_form(network, torch.device("cpu"), torch.float32)
    assert all(np.array_equal(random_tensors[name], array) for name, array in before.items())


def test_a_card_gets_no_memory_for_tensors_that_its_file_lacks(random_tensors: dict[str, np.ndarray]) -> None:
    card = find_card("nl-i3d")
    large = replace(card, architecture=replace(card.architecture, width=2**16))  # 9.4 TB
    with pytest.raises(CheckpointMismatch, match=r"missing res2\.0\.conv1\.conv\.weight"):
        load_network(large, random_tensors)


def test_many_faults_are_counted(card: Card) -> None:
    with pytest.raises(CheckpointMismatch, match=r"and \d+ more$"):
        load_weights(build_network(card), {}, "a.safetensors")


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_an_architecture_states_is_true_of_its_network(kind: str) -> None:
    cards = {card.architecture.kind: card for card in load_manifest().models}
    card = cards[kind]
    network = build_on_meta(card.architecture, 5)
    for names in card.architecture.stages.values():
        assert all(isinstance(network.get_submodule(name).out_channels, int) for name in names)
    for end in card.architecture.ends:
        shorter = replace(card.architecture.ending_after(end), nonlocal_blocks=None)
        assert [name for name, _ in build_on_meta(shorter, 5).named_children()][-2:] == [end, "head"]
