"""The families with torch files: their names and their oddities. tests/golden checks the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats import FORMATS, read_foreign
from tests.golden.builder import families, read_table

PREFIXES = {
    "gluoncv": "gluoncv",
    "mmaction2": "mmaction2",
    "pyslowfast": "pyslowfast",
    "pytorch_resnet3d": "pytorch-resnet3d",
    "pytorchvideo": "pytorchvideo",
}


def save(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("family", families())
def test_names_alone_identify_a_family(family: str) -> None:
    names = [name for name, _, _ in read_table(family).rows]
    expected = next((PREFIXES[prefix] for prefix in PREFIXES if family.startswith(prefix)), "caffe2")
    if family.endswith("_c2"):
        expected = "caffe2"
    assert next(name for name, (matches, _) in FORMATS.items() if matches(names)) == expected


@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("extra", ["s1.pathway1_stem.conv.weight", "backbone.layer5.0.conv1.conv.weight", "fc.x.y"])
def test_no_family_drops_a_tensor(family: str, extra: str) -> None:
    content = {name: np.ones(1) for name, _, role in read_table(family).rows if role != "counter"}
    read = next(read for matches, read in FORMATS.values() if matches(content))
    with pytest.raises(ModelFileError, match=f"place for the tensor {extra}"):
        read(content | {extra: np.ones(1)}, "x.pth")


def test_image_kernels_get_a_time_axis(tmp_path: Path) -> None:
    content = {
        "backbone.conv1.conv.weight": torch.arange(18.0).reshape(1, 2, 3, 3),
        "backbone.conv1.bn.weight": torch.ones(1),
        "cls_head.fc_cls.weight": torch.ones(4, 1),
    }
    _, tensors = read_foreign(save({"meta": {}, "state_dict": content}, tmp_path / "x.pth"))
    assert tensors["stem.conv.weight"].shape == (1, 2, 1, 3, 3)
    np.testing.assert_array_equal(tensors["stem.conv.weight"].ravel(), np.arange(18))
    assert tensors["stem.norm.weight"].shape == (1,)
    assert tensors["head.classifier.weight"].shape == (4, 1, 1, 1, 1)


def test_a_moving_average_of_mmcv_is_passed_over(tmp_path: Path) -> None:
    content = {"backbone.conv1.conv.weight": torch.ones(1), "ema_backbone_conv1_conv_weight": torch.zeros(1)}
    _, tensors = read_foreign(save({"state_dict": content}, tmp_path / "x.pth"))
    assert tensors == {"stem.conv.weight": 1}


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "module.model.", "module.module."])
def test_prefixes_of_wrappers_are_removed(prefix: str, tmp_path: Path) -> None:
    names = ("blocks.0.conv.weight", "blocks.3.res_blocks.1.branch2.norm_b.bias", "blocks.6.proj.bias")
    content = {"model_state": {prefix + name: torch.ones(1) for name in names}}
    family, tensors = read_foreign(save(content, tmp_path / "x.pyth"))
    assert family == "pytorchvideo"
    assert set(tensors) == {"stem.conv.weight", "res3.1.conv2.norm.bias", "head.classifier.bias"}


def test_the_same_tensor_under_two_names_is_an_error(tmp_path: Path) -> None:
    block = "backbone.layer2.1.non_local_block"
    names = ("backbone.conv1.conv.weight", f"{block}.phi.conv.bias", f"{block}.phi.0.conv.bias")
    with pytest.raises(ModelFileError, match=r"tensor for res3\.1\.nonlocal_block\.phi\.bias"):
        read_foreign(save({name: torch.ones(1) for name in names}, tmp_path / "x.pth"))


GLUONCV = {
    "first_stage.0.weight": torch.ones(1, 1, 1, 1, 1),
    "res_layers.1.1.nonlocal_block.W.weight": torch.full((1, 1, 1, 1, 1), 2.0),
    "res_layers.1.1.nonlocal_block.W_bn.0.weight": torch.full((1, 1, 1, 1, 1), 2.0),
    "res_layers.1.1.nonlocal_block.bn.bias": torch.ones(1),
    "res_layers.1.1.nonlocal_block.W_bn.1.bias": torch.ones(1),
    "fc.bias": torch.ones(2),
    "head.1.bias": torch.ones(2),
}


def test_second_names_of_gluoncv_are_dropped(tmp_path: Path) -> None:
    _, tensors = read_foreign(save(GLUONCV, tmp_path / "x.pth"))
    assert tensors.keys() == {
        "stem.conv.weight",
        "res3.1.nonlocal_block.out.conv.weight",
        "res3.1.nonlocal_block.out.norm.bias",
        "head.classifier.bias",
    }


@pytest.mark.parametrize("name", [name for name in GLUONCV if "W_bn" in name or "head.1" in name])
def test_second_names_of_gluoncv_must_be_equal_to_the_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=rf"{name} and .*differ"):
        read_foreign(save(GLUONCV | {name: GLUONCV[name] + 1}, tmp_path / "x.pth"))


def test_a_second_name_without_the_first_is_not_lost(tmp_path: Path) -> None:
    content = {name: tensor for name, tensor in GLUONCV.items() if name != "fc.bias"}
    with pytest.raises(ModelFileError, match=r"tensor head\.1\.bias"):
        read_foreign(save(content, tmp_path / "x.pth"))


def test_torchvisions_resnets_are_read(tmp_path: Path) -> None:
    import torchvision

    network = torchvision.models.resnet18(weights=None, num_classes=3)
    family, tensors = read_foreign(save(network.state_dict(), tmp_path / "x.pth"))
    assert family == "torchvision"
    assert tensors["stem.conv.weight"].shape == (64, 3, 1, 7, 7)
    expected: Tensor = network.layer2[0].downsample[1].running_var  # type: ignore[index, union-attr, assignment]
    np.testing.assert_array_equal(tensors["res3.0.shortcut.norm.running_var"], expected.numpy())
    assert len(tensors) == sum(tensor.ndim > 0 for tensor in network.state_dict().values())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_nlvids_own_names_are_read(small_tensors: dict[str, np.ndarray], suffix: str, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / f"x{suffix}"
    if suffix == ".pth":
        torch.save({name: torch.from_numpy(array) for name, array in small_tensors.items()}, path)
    else:
        save_file(small_tensors, path)
    family, tensors = read_foreign(path)
    assert family == "nlvid"
    for name, array in small_tensors.items():
        np.testing.assert_array_equal(tensors[name], array)


def test_an_unknown_network_is_an_error(tmp_path: Path) -> None:
    path = save({"encoder.layer.weight": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(ModelFileError, match=r"x\.pth: .*tensors .*encoder\.layer\.weight"):
        read_foreign(path)
    with pytest.raises(ModelFileError, match="no tensors"):
        read_foreign(save({"epoch": 1}, tmp_path / "x.pth"))


@pytest.mark.parametrize("start", [b"RIFF", b"\x00" * 20, b"cos\nsystem\n"])
def test_an_unknown_kind_of_file_is_an_error(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(start)
    with pytest.raises(ModelFileError, match=r"x\.pth: .*\(torch zip, "):
        read_foreign(path)
