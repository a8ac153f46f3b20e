"""The network is found in any dict and behind any prefix, by the names of its tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats import read_foreign

NAMES = (
    "s1.pathway0_stem.conv.weight",
    "s2.pathway0_res0.branch2.a.weight",
    "s3.pathway0_nonlocal1.conv_theta.bias",
    "head.projection.weight",
)


def weights(prefix: str = "", value: float = 1.0) -> dict[str, Tensor]:
    return {prefix + name: torch.full((2,) if name.endswith("bias") else (2, 2, 1, 1, 1), value) for name in NAMES}


def optimiser() -> dict[str, object]:
    return {"state": {0: {"exp_avg": torch.ones(2), "step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}


CHECKPOINTS: dict[str, object] = {
    "bare": weights(),
    "model_state_dict": {"epoch": 3, "model_state_dict": weights(), "optimizer_state_dict": optimiser()},
    "model": {"model": weights("module."), "optimizer": optimiser(), "lr_scheduler": {"last_epoch": 3}},
    "Lightning": {
        "state_dict": weights("model."),
        "optimizer_states": [optimiser()],
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": ""}},
        "hyper_parameters": {"lr": 0.1},
        "pytorch-lightning_version": "2.0",
    },
    "Lightning with net": {"state_dict": weights("net.") | {"val_acc.count": torch.tensor(3)}, "epoch": 1},
    "compiled": {"model": weights("_orig_mod.")},
    "compiled and parallel": {"model": weights("module._orig_mod.")},
    "compiled inside": {name.replace("s2.", "s2._orig_mod."): tensor for name, tensor in weights().items()},
    "average with a counter": {"n_averaged": torch.tensor(7), **weights("module.")},
    "average with a counter in a dict": {"model_ema": {"n_averaged": torch.tensor(7), **weights("module.")}},
    "average as a shadow": {"ema": {"decay": 0.99, "num_updates": torch.tensor(7), "shadow": weights()}, "epoch": 1},
    "two networks, the average first": {"model_ema": weights("module.", 2.0), "model": weights()},
    "two networks in one dict": {
        "initted": torch.tensor(True),
        "step": torch.tensor(7),
        **weights("ema_model.", 2.0),
        **weights("online_model."),
    },
    "momentum contrast": {"state_dict": weights("module.encoder_k.", 2.0) | weights("module.encoder_q.")},
    "a dict within a dict": {"checkpoint": {"net": weights(), "epoch": 3}},
    "a tuple": (3, weights(), optimiser()),
    "some other name": {"my_weights": weights("my.own.wrapper.")},
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_the_network_is_found(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(CHECKPOINTS[kind], path)
    family, tensors = read_foreign(path)
    assert family == "pyslowfast"
    assert sorted(tensors) == [
        "head.classifier.weight",
        "res2.0.conv1.conv.weight",
        "res3.1.nonlocal_block.theta.bias",
        "stem.conv.weight",
    ]
    assert all((array == 1).all() for array in tensors.values())


@pytest.mark.parametrize("kind", ["two networks, the average first", "two networks in one dict", "momentum contrast"])
def test_a_note_says_which_network_was_taken(kind: str, tmp_path: Path, notes: list[str]) -> None:
    torch.save(CHECKPOINTS[kind], tmp_path / "x.pth")
    read_foreign(tmp_path / "x.pth")
    assert len(notes) == 1
    assert "x.pth: it holds 2 networks" in notes[0]


def test_a_real_moving_average_of_torch(tmp_path: Path) -> None:
    network = nn.Sequential()
    network.add_module("first_stage", nn.Sequential(nn.Conv3d(1, 1, 1)))
    torch.save(torch.optim.swa_utils.AveragedModel(network).state_dict(), tmp_path / "x.pth")
    family, tensors = read_foreign(tmp_path / "x.pth")
    assert (family, set(tensors)) == ("gluoncv", {"stem.conv.weight", "stem.conv.bias"})


def test_what_is_beside_the_network_is_named(tmp_path: Path, notes: list[str]) -> None:
    torch.save({"state_dict": weights("model.") | {"criterion.weight": torch.ones(2)}}, tmp_path / "x.pth")
    _, tensors = read_foreign(tmp_path / "x.pth")
    assert len(tensors) == len(NAMES)
    assert len(notes) == 1
    assert "criterion.weight" in notes[0]


def test_without_a_prefix_every_tensor_needs_a_place(tmp_path: Path) -> None:
    torch.save(weights() | {"criterion.weight": torch.ones(2)}, tmp_path / "x.pth")
    with pytest.raises(ModelFileError, match=r"place for the tensor criterion\.weight"):
        read_foreign(tmp_path / "x.pth")


def test_an_odd_head_is_left_out_where_any_head_will_do(tmp_path: Path) -> None:
    content = {name: tensor for name, tensor in weights().items() if not name.startswith("head.")}
    content |= {"head.projection.1.weight": torch.ones(2, 2), "head.dropout.alpha": torch.ones(1)}
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ModelFileError, match="place for the tensor head"):
        read_foreign(tmp_path / "x.pth")
    _, tensors = read_foreign(tmp_path / "x.pth", any_head=True)
    assert not any(name.startswith("head.") for name in tensors)
    np.testing.assert_array_equal(tensors["stem.conv.weight"], 1)
