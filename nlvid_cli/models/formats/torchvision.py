"""torchvision's two-dimensional ResNets: ``conv1``, ``layer1.0.conv1``, ``fc``. Also videos' networks with such names.

The kernels of images become kernels over one frame; :mod:`nlvid_cli.models.inflate` is what spreads them over several.
"""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import TORCHVISION


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are of this family."""
    return "conv1.weight" in keys and "layer1.0.conv1.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """The parameters under nlvid's names; errors are those of ``common.translate_all``."""
    return translate_all(tensors, TORCHVISION.translate, where)
