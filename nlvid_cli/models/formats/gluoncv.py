"""GluonCV's names (its part for torch): ``first_stage.0``, ``res_layers.0.0.conv1``; torch files, bare.

Some layers have two names there, and so in the files: ``nonlocal_block.W_bn`` is a sequence of ``W`` and ``bn``, and
``head.1`` is ``fc``. The second tensor must equal the first, and is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import Names

_BLOCK = r"res_layers\.(?P<stage>\d)\.(?P<block>\d+)"
_NONLOCAL = _BLOCK + r"\.nonlocal_block"

NAMES = Names(
    (
        (r"first_stage\.0\.(?P<part>\w+)", "stem.conv.{part}"),
        (r"first_stage\.1\.(?P<part>\w+)", "stem.norm.{part}"),
        (_BLOCK + r"\.conv(?P<conv>\d)\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.conv.{part}"),
        (_BLOCK + r"\.bn(?P<conv>\d)\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.norm.{part}"),
        (_BLOCK + r"\.downsample\.0\.(?P<part>\w+)", "res{stage}.{block}.shortcut.conv.{part}"),
        (_BLOCK + r"\.downsample\.1\.(?P<part>\w+)", "res{stage}.{block}.shortcut.norm.{part}"),
        (_NONLOCAL + r"\.(?P<unit>theta|phi|g)\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.{unit}.{part}"),
        (_NONLOCAL + r"\.W\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.conv.{part}"),
        (_NONLOCAL + r"\.bn\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.norm.{part}"),
        (r"fc\.(?P<part>\w+)", "head.classifier.{part}"),
    ),
    {"stage": {"0": "2", "1": "3", "2": "4", "3": "5"}},
)

ALIASES = (
    (r"(.*\.nonlocal_block)\.W_bn\.0(\.\w+)", r"\1.W\2"),
    (r"(.*\.nonlocal_block)\.W_bn\.1(\.\w+)", r"\1.bn\2"),
    (r"head\.1(\.\w+)", r"fc\1"),
)
"""Patterns of second names, and the first names."""


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "first_stage.0.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """The parameters under nlvid's names; errors are those of ``common.translate_all``.

    Raises:
        ModelFileError: Also if two names of one layer have different tensors.
    """
    return translate_all(_without_aliases(tensors, where), NAMES.translate, where)


def _without_aliases(tensors: Tensors, where: str) -> Tensors:
    kept = dict(tensors)
    for key, tensor in tensors.items():
        for pattern, replacement in ALIASES:
            original = re.sub(pattern, replacement, key) if re.fullmatch(pattern, key) else None
            if original in tensors:
                if not np.array_equal(tensor, tensors[original]):
                    raise ModelFileError(f"{where}: {key} and {original} should be equal, but differ")
                del kept[key]
    return kept
