"""pytorch-resnet3d's names: those of torchvision, and ``layer2.1.nl.theta`` for non-local blocks; torch files, bare."""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import NUMBERED_FROM_ONE, TORCHVISION, Names

_NONLOCAL = r"layer(?P<stage>\d)\.(?P<block>\d+)\.nl"

NAMES = Names(
    (
        (_NONLOCAL + r"\.(?P<unit>theta|phi|g)\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.{unit}.{part}"),
        (_NONLOCAL + r"\.out\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.conv.{part}"),
        (_NONLOCAL + r"\.bn\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.norm.{part}"),
        *TORCHVISION.rules,
    ),
    {"stage": NUMBERED_FROM_ONE},
)


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "conv1.weight" in keys and any(".nl." in key for key in keys)


def read(tensors: Tensors, where: str) -> Tensors:
    """Return the parameters under nlvid's names; errors as for ``common.translate_all``."""
    return translate_all(tensors, NAMES.translate, where)
