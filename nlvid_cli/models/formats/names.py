"""How the tensors of other programs are called in nlvid's networks: tables of patterns, and what reads them.

A table is data: a pattern of a whole name, and nlvid's name for it. torchvision's table stands here because two
parts of nlvid need it (inflation, and the reader of checkpoints); the others are in ``models/formats/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBERED_FROM_ONE = {"1": "2", "2": "3", "3": "4", "4": "5"}
"""``layer1`` is res2, and so on."""


@dataclass(frozen=True)
class Names:
    """One program's names.

    Attributes:
        rules: a pattern of a whole name with named groups, and nlvid's name with those groups in braces.
        words: by the name of a group, what each of its texts becomes; a text that is not listed makes the name an
            unknown one. Groups that are not mentioned stay as they are.
    """

    rules: tuple[tuple[str, str], ...]
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def translate(self, name: str) -> str | None:
        """The tensor's name in nlvid's networks, or None where no rule knows it."""
        for pattern, ours in self.rules:
            match = re.fullmatch(pattern, name)
            if match:
                groups = match.groupdict()
                known = {group: self.words.get(group, {text: text}).get(text) for group, text in groups.items()}
                return None if None in known.values() else ours.format(**known)
        return None


TORCHVISION = Names(
    (
        (r"conv1\.(?P<part>\w+)", "stem.conv.{part}"),
        (r"bn1\.(?P<part>\w+)", "stem.norm.{part}"),
        (
            r"layer(?P<stage>\d)\.(?P<block>\d+)\.conv(?P<conv>\d)\.(?P<part>\w+)",
            "res{stage}.{block}.conv{conv}.conv.{part}",
        ),
        (
            r"layer(?P<stage>\d)\.(?P<block>\d+)\.bn(?P<conv>\d)\.(?P<part>\w+)",
            "res{stage}.{block}.conv{conv}.norm.{part}",
        ),
        (
            r"layer(?P<stage>\d)\.(?P<block>\d+)\.downsample\.0\.(?P<part>\w+)",
            "res{stage}.{block}.shortcut.conv.{part}",
        ),
        (
            r"layer(?P<stage>\d)\.(?P<block>\d+)\.downsample\.1\.(?P<part>\w+)",
            "res{stage}.{block}.shortcut.norm.{part}",
        ),
        (r"fc\.(?P<part>\w+)", "head.classifier.{part}"),
    ),
    {"stage": NUMBERED_FROM_ONE},
)
"""torchvision's two-dimensional ResNets."""
