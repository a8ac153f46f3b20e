"""nlvid's own names, in a torch file or in a safetensors file without a card."""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are of this family."""
    return "head.classifier.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """The parameters as they are; errors are those of ``common.translate_all``."""
    return translate_all(tensors, lambda name: name, where)
