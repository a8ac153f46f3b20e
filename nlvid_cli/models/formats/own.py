"""nlvid's own names, in a torch file, or in a safetensors file without a card."""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "head.classifier.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """Return the parameters under their own names; errors as for ``common.translate_all``."""
    return translate_all(tensors, lambda name: name, where)
