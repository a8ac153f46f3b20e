"""Caffe2 blobs: the optimiser's state is dropped, unknown blobs are named, and all forms of the pickle are read."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats import read_foreign
from tests.golden.builder import dump_python2

BLOBS = {
    "conv1_w": np.arange(12, dtype="f4").reshape(2, 3, 1, 1, 2),
    "res_conv1_bn_riv": np.float32([2, 3]),
    "res3_11_branch2b_bn_s": np.float32([4, 5]),
    "res4_22_branch1_bn_rm": np.float32([6]),
    "nonlocal_conv4_6_phi_b": np.float32([7]),
    "nonlocal_conv4_6_out_w": np.float32([8]).reshape(1, 1, 1, 1, 1),
    "nonlocal_conv4_6_bn_b": np.float32([9]),
    "pred_w": np.arange(6, dtype="f4").reshape(3, 2),
    "pred_b": np.float32([1, 2, 3]),
}
NAMES = {
    "stem.conv.weight",
    "stem.norm.running_var",
    "res3.11.conv2.norm.weight",
    "res4.22.shortcut.norm.running_mean",
    "res4.6.nonlocal_block.phi.bias",
    "res4.6.nonlocal_block.out.conv.weight",
    "res4.6.nonlocal_block.out.norm.bias",
    "head.classifier.weight",
    "head.classifier.bias",
}


def read(tree: dict[str, object], path: Path, protocol: int = 0) -> dict[str, np.ndarray]:
    """Read blobs from a pickle of Python 2, or of Python 3 with a protocol."""
    if protocol:
        path.write_bytes(pickle.dumps(tree, protocol))
    else:
        dump_python2(tree, path)
    family, tensors = read_foreign(path)
    assert family == "caffe2"
    return tensors


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
@pytest.mark.parametrize("bare", [False, True])
def test_names_and_numbers(tmp_path: Path, protocol: int, bare: bool) -> None:
    tree: dict[str, object] = dict(BLOBS) if bare else {"blobs": dict(BLOBS)}
    tensors = read(tree, tmp_path / "x.pkl", protocol)
    assert tensors.keys() == NAMES
    np.testing.assert_array_equal(tensors["stem.conv.weight"], BLOBS["conv1_w"])
    np.testing.assert_array_equal(tensors["res4.6.nonlocal_block.phi.bias"], [7])
    assert all(array.dtype == np.float32 for array in tensors.values())


def test_the_optimisers_blobs_are_left_out(tmp_path: Path) -> None:
    bookkeeping = {"lr": np.array(0.1, "f4"), "model_iter": 5, "conv1_w_momentum": BLOBS["conv1_w"]}
    assert read({"blobs": BLOBS | bookkeeping}, tmp_path / "x.pkl").keys() == NAMES


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1, 1), (3, 2, 1, 1, 1)])
def test_the_classifier_has_five_axes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    weight = BLOBS["pred_w"].reshape(shape)
    tensors = read({"blobs": BLOBS | {"pred_w": weight}}, tmp_path / "x.pkl")
    assert tensors["head.classifier.weight"].shape == (3, 2, 1, 1, 1)
    np.testing.assert_array_equal(tensors["head.classifier.weight"].ravel(), weight.ravel())


@pytest.mark.parametrize("blob", ["fbo_theta_w", "res6_0_branch2a_w", "res2_0_branch2d_w", "conv1_x", "res_conv1_bn_z"])
def test_an_unknown_blob_is_named(tmp_path: Path, blob: str) -> None:
    with pytest.raises(ModelFileError, match=rf"x\.pkl: .*place.*tensor {blob}"):
        read({"blobs": BLOBS | {blob: np.ones(1, "f4")}}, tmp_path / "x.pkl")


def test_numbers_that_are_not_floats_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"x\.pkl: pred_b .*int64"):
        read({"blobs": BLOBS | {"pred_b": np.arange(3)}}, tmp_path / "x.pkl")


def test_half_and_double_precision_become_single(tmp_path: Path) -> None:
    changed = {"pred_b": np.float16([1, 2, 3]), "conv1_w": BLOBS["conv1_w"].astype("f8")}
    tensors = read({"blobs": BLOBS | changed}, tmp_path / "x.pkl")
    assert {tensors[name].dtype.name for name in ("head.classifier.bias", "stem.conv.weight")} == {"float32"}
