"""PySlowFast's own names: ``s1.pathway0_stem``, ``s2.pathway0_res0.branch2.a``; torch files, under ``model_state``."""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import Names

_BLOCK = r"s(?P<stage>[2-5])\.pathway0_res(?P<block>\d+)"
_NONLOCAL = r"s(?P<stage>[2-5])\.pathway0_nonlocal(?P<block>\d+)"

NAMES = Names(
    (
        (r"s1\.pathway0_stem\.conv\.(?P<part>\w+)", "stem.conv.{part}"),
        (r"s1\.pathway0_stem\.bn\.(?P<part>\w+)", "stem.norm.{part}"),
        (_BLOCK + r"\.branch1\.(?P<part>\w+)", "res{stage}.{block}.shortcut.conv.{part}"),
        (_BLOCK + r"\.branch1_bn\.(?P<part>\w+)", "res{stage}.{block}.shortcut.norm.{part}"),
        (_BLOCK + r"\.branch2\.(?P<conv>\w)\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.conv.{part}"),
        (_BLOCK + r"\.branch2\.(?P<conv>\w)_bn\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.norm.{part}"),
        (
            _NONLOCAL + r"\.conv_(?P<unit>theta|phi|g)\.(?P<part>\w+)",
            "res{stage}.{block}.nonlocal_block.{unit}.{part}",
        ),
        (_NONLOCAL + r"\.conv_out\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.conv.{part}"),
        (_NONLOCAL + r"\.bn\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.norm.{part}"),
        (r"head\.projection\.(?P<part>\w+)", "head.classifier.{part}"),
    ),
    {"conv": {"a": "1", "b": "2", "c": "3"}},
)


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "s1.pathway0_stem.conv.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """Return the parameters under nlvid's names; errors as for ``common.translate_all``."""
    return translate_all(tensors, NAMES.translate, where)
