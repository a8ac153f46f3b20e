"""The Flax I3D pickle: every array used, none missing; and the real one, from the index."""

import copy
import os
import pickle

import numpy as np
import pytest

from nlvid_cli.card.manifest import find_card
from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.find import find_file
from nlvid_cli.models.formats import read_foreign
from nlvid_cli.models.model_file import open_checkpoint

REAL_VALUES = {
    "conv_1a.conv.weight": (-0.018620118498802185, -0.01645006611943245, 0.07384110987186432),
    "mixed_5b.branch2.norm.running_var": (4.028678894042969, 2.7579026222229004, 6.58125638961792),
    "head.classifier.bias": (0.21120761334896088, 0.4027923047542572, 0.33057767152786255),
}
"""The first numbers of some tensors, read with ``pickle`` and numpy alone."""


@pytest.fixture
def read_tree(tmp_path):
    def read_it(tree):
        path = tmp_path / "weights.ckpt"
        path.write_bytes(pickle.dumps(tree, 4))
        family, tensors = read_foreign(path)
        assert family == "flax-i3d"
        return tensors

    return read_it


@pytest.fixture
def tree(flax_tree):
    return copy.deepcopy(flax_tree)


def test_names_and_axes(read_tree, tree):
    tensors = read_tree(tree)
    assert len(tensors) == 57 * 5 + 2
    unit = ("Mixed_5b", "Branch_2/Conv3d_0b_3x3")
    params, stats = tree["params"], tree["batch_stats"]
    weight = tensors["mixed_5b.branch2.conv.weight"]
    assert weight.shape == (2, 4, 1, 2, 3)  # (out, in, T, H, W)
    kernel = params[unit[0]][unit[1]]["Conv_0"]["kernel"]  # (T, H, W, in, out)
    assert weight[1, 3, 0, 1, 2] == kernel[0, 1, 2, 3, 1]
    norm = "mixed_5b.branch2.norm"
    np.testing.assert_array_equal(tensors[f"{norm}.weight"], [1, 1])
    np.testing.assert_array_equal(tensors[f"{norm}.bias"], params[unit[0]][unit[1]]["BatchNorm_0"]["bias"])
    statistics = stats[unit[0]][unit[1]]["BatchNorm_0"]
    np.testing.assert_array_equal(tensors[f"{norm}.running_mean"], statistics["mean"].ravel())
    np.testing.assert_array_equal(tensors[f"{norm}.running_var"], statistics["var"].ravel())
    assert tensors["head.classifier.weight"].shape == (3, 2, 1, 1, 1)
    head = params["Logits/Conv3d_0c_1x1"]["Conv_0"]
    np.testing.assert_array_equal(tensors["head.classifier.bias"], head["bias"])


def test_a_missing_array_is_named(read_tree, tree):
    del tree["batch_stats"]["Mixed_4c"]["Branch_3/Conv3d_0b_1x1"]["BatchNorm_0"]["var"]
    missing = r"batch_stats\|Mixed_4c\|Branch_3/Conv3d_0b_1x1\|BatchNorm_0\|var is missing"
    with pytest.raises(ModelFileError, match=missing):
        read_tree(tree)


def test_an_array_too_many_is_named(read_tree, tree):
    tree["params"]["Conv3d_1a_7x7"]["Conv_0"]["bias"] = np.zeros(2, "f4")
    with pytest.raises(ModelFileError, match=r"1 arrays .* params\|Conv3d_1a_7x7\|Conv_0\|bias"):
        read_tree(tree)


@pytest.mark.parametrize("wrong", [np.zeros(3, "f4"), np.zeros((2, 1), "f4"), np.zeros(2, "f8"), np.zeros((), "f4")])
def test_an_array_of_another_kind_is_named(read_tree, tree, wrong):
    tree["params"]["Conv3d_2b_1x1"]["BatchNorm_0"]["bias"] = wrong
    with pytest.raises(ModelFileError, match=r"Conv3d_2b_1x1\|BatchNorm_0\|bias is"):
        read_tree(tree)


@pytest.mark.network
@pytest.mark.usefixtures("real_environment")
def test_the_real_weights(cache):
    card = find_card("i3d")
    read_card, tensors = open_checkpoint(find_file(card))
    assert read_card == card
    norms = [name for name in tensors if name.endswith(".norm.weight")]
    assert len(tensors) - len(norms) == 230  # the norms' weights are nlvid's ones, the others are the file's
    assert sum(tensors[name].size for name in tensors if name not in norms) == 12_704_544
    assert all(np.isfinite(array).all() and array.dtype == np.float32 for array in tensors.values())
    assert tensors["head.classifier.weight"].shape == (400, 1024, 1, 1, 1)
    for name, expected in REAL_VALUES.items():
        np.testing.assert_array_equal(tensors[name].ravel()[:3], np.float32(expected))
    assert os.listdir(cache / "downloads") == []
