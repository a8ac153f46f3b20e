"""Checkpoints of other programs: a file for each family, and its line in :data:`FORMATS`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

import nlvid_cli.models.formats.caffe2 as caffe2
import nlvid_cli.models.formats.flax_i3d as flax_i3d
import nlvid_cli.models.formats.gluoncv as gluoncv
import nlvid_cli.models.formats.mmaction2 as mmaction2
import nlvid_cli.models.formats.own as own
import nlvid_cli.models.formats.pyslowfast as pyslowfast
import nlvid_cli.models.formats.pytorch_resnet3d as pytorch_resnet3d
import nlvid_cli.models.formats.pytorchvideo as pytorchvideo
import nlvid_cli.models.formats.torchvision as torchvision
from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats.common import Tensors
from nlvid_cli.models.formats.opening import open_file

FORMATS: dict[str, tuple[Callable[[Collection[str]], bool], Callable[[Tensors, str], Tensors]]] = {
    "caffe2": (caffe2.matches, caffe2.read),
    "pyslowfast": (pyslowfast.matches, pyslowfast.read),
    "pytorchvideo": (pytorchvideo.matches, pytorchvideo.read),
    "mmaction2": (mmaction2.matches, mmaction2.read),
    "gluoncv": (gluoncv.matches, gluoncv.read),
    "pytorch-resnet3d": (pytorch_resnet3d.matches, pytorch_resnet3d.read),
    "torchvision": (torchvision.matches, torchvision.read),
    "flax-i3d": (flax_i3d.matches, flax_i3d.read),
    "nlvid": (own.matches, own.read),
}
"""For each family, whether tensors of given names are from it, and how they become nlvid's. The first match counts."""


HEAD = re.compile(r"(fc|head|cls_head|blocks\.6)\..*|pred_.*")
"""Names of all that families have behind the last feature map."""

PLAIN_HEAD = re.compile(
    r"(fc|head\.1|head\.projection|head\.classifier|cls_head\.fc_cls|blocks\.6\.proj)\.(weight|bias)|pred_[wb](_\w+)?"
)
"""Names of a head that is one linear layer, as in all published networks."""


def is_network(names: Collection[str]) -> bool:
    """Whether tensors of these names are a network of a known family."""
    return any(matches(names) for matches, _ in FORMATS.values())


def read_foreign(path: Path, any_head: bool = False) -> tuple[str, Tensors]:
    """Read a checkpoint of any known program. Its content decides which program that is.

    Args:
        path: The file.
        any_head: Whether the head may be anything. One that is not a single linear layer is left out.

    Returns:
        The key of :data:`FORMATS`, and the tensors under nlvid's names as float32 arrays; some are views of the file.

    Raises:
        UnsafeFile: The file asks for something that nlvid does not execute.
        ModelFileError: The file does not exist, is damaged, is from no known family, or holds a tensor without a place.
    """
    tensors = open_file(path, is_network)
    for name, (matches, read) in FORMATS.items():
        if matches(tensors):
            return name, read(_without_odd_head(tensors) if any_head else tensors, path.name)
    found = f"tensors of an unknown network, such as {min(tensors)}" if tensors else "no tensors"
    raise ModelFileError(f"{path.name}: the file holds {found}; nlvid reads checkpoints of {', '.join(FORMATS)}")


def _without_odd_head(tensors: Tensors) -> Tensors:
    head = {name for name in tensors if HEAD.fullmatch(name)}
    if all(PLAIN_HEAD.fullmatch(name) for name in head):
        return tensors
    return {name: tensor for name, tensor in tensors.items() if name not in head}
