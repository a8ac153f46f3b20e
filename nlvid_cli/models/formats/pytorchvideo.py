"""PyTorchVideo's names: ``blocks.0.conv``, ``blocks.1.res_blocks.0.branch1_conv``; torch files, under ``model_state``.

Block 0 is the stem, 1 is res2, 2 is the pool along time, 3 to 5 are res3 to res5, and 6 is the head. Networks that were
trained with PySlowFast have the prefix ``model.``.
"""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import Names

_BLOCK = r"blocks\.(?P<stage>\d)\.res_blocks\.(?P<block>\d+)"

NAMES = Names(
    (
        (r"blocks\.0\.conv\.(?P<part>\w+)", "stem.conv.{part}"),
        (r"blocks\.0\.norm\.(?P<part>\w+)", "stem.norm.{part}"),
        (_BLOCK + r"\.branch1_conv\.(?P<part>\w+)", "res{stage}.{block}.shortcut.conv.{part}"),
        (_BLOCK + r"\.branch1_norm\.(?P<part>\w+)", "res{stage}.{block}.shortcut.norm.{part}"),
        (_BLOCK + r"\.branch2\.conv_(?P<conv>\w)\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.conv.{part}"),
        (_BLOCK + r"\.branch2\.norm_(?P<conv>\w)\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.norm.{part}"),
        (r"blocks\.6\.proj\.(?P<part>\w+)", "head.classifier.{part}"),
    ),
    {"stage": {"1": "2", "3": "3", "4": "4", "5": "5"}, "conv": {"a": "1", "b": "2", "c": "3"}},
)


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "blocks.0.conv.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """Return the parameters under nlvid's names; errors as for ``common.translate_all``."""
    return translate_all(tensors, NAMES.translate, where)
