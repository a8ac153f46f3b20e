"""Caffe2 blobs: video-nonlocal-net (FAIR), long-term feature banks (LFB), and the ``.pkl`` files of PySlowFast.

A pickle of Python 2: ``{"blobs": {name: array}}``, or the inner dict alone. It also holds the state of the optimiser
(``<parameter>_momentum``, ``lr``, ``model_iter``). Batch norm is ``_bn_s``, ``_bn_b``, ``_bn_rm`` and ``_bn_riv`` (the
running variance, not its inverse). Folded batch norm has only the first two.
"""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import Names

_BLOCK = r"res(?P<stage>[2-5])_(?P<block>\d+)"
_NONLOCAL = r"nonlocal_conv(?P<stage>[2-5])_(?P<block>\d+)"

NAMES = Names(
    (
        (r"conv1_w", "stem.conv.weight"),
        (r"res_conv1_bn_(?P<norm>\w+)", "stem.norm.{norm}"),
        (_BLOCK + r"_branch1_w", "res{stage}.{block}.shortcut.conv.weight"),
        (_BLOCK + r"_branch1_bn_(?P<norm>\w+)", "res{stage}.{block}.shortcut.norm.{norm}"),
        (_BLOCK + r"_branch2(?P<conv>\w)_w", "res{stage}.{block}.conv{conv}.conv.weight"),
        (_BLOCK + r"_branch2(?P<conv>\w)_bn_(?P<norm>\w+)", "res{stage}.{block}.conv{conv}.norm.{norm}"),
        (_NONLOCAL + r"_(?P<unit>theta|phi|g)_(?P<part>\w)", "res{stage}.{block}.nonlocal_block.{unit}.{part}"),
        (_NONLOCAL + r"_out_(?P<part>\w)", "res{stage}.{block}.nonlocal_block.out.conv.{part}"),
        (_NONLOCAL + r"_bn_(?P<norm>\w+)", "res{stage}.{block}.nonlocal_block.out.norm.{norm}"),
        (r"pred_(?P<part>\w)", "head.classifier.{part}"),
    ),
    {
        "conv": {"a": "1", "b": "2", "c": "3"},
        "part": {"w": "weight", "b": "bias"},
        "norm": {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"},
    },
)

BOOKKEEPING = ("lr", "model_iter")
"""Blobs of the optimiser, apart from those that end in ``_momentum``."""


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "conv1_w" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """Return the parameters under nlvid's names; errors as for ``common.translate_all``."""
    parameters = {
        key: blob for key, blob in tensors.items() if key not in BOOKKEEPING and not key.endswith("_momentum")
    }
    return translate_all(parameters, NAMES.translate, where)
