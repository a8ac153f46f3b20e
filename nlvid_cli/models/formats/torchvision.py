"""torchvision's two-dimensional ResNets, and video networks with their names: ``conv1``, ``layer1.0.conv1``, ``fc``.

Image kernels become kernels over one frame; :mod:`nlvid_cli.models.inflate` spreads them over several frames.
"""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import TORCHVISION


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "conv1.weight" in keys and "layer1.0.conv1.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """Return the parameters under nlvid's names; errors as for ``common.translate_all``."""
    return translate_all(tensors, TORCHVISION.translate, where)
