"""Tables from the tensor names of other programs to nlvid's, and the function that applies them.

A table is data: patterns of whole names, with nlvid's name for each. torchvision's table is here because inflation and
the readers of checkpoints share it; each other family has its own file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBERED_FROM_ONE = {"1": "2", "2": "3", "3": "4", "4": "5"}
"""``layer1`` is res2, and so on."""


@dataclass(frozen=True)
class Names:
    """The names of one program.

    Attributes:
        rules: Patterns of whole names with named groups, and nlvid's names with these groups in braces.
        words: For a group by name, the replacement of each of its texts. A name with any other text is unknown. Groups
            that are not listed are kept.
    """

    rules: tuple[tuple[str, str], ...]
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def translate(self, name: str) -> str | None:
        """Return the tensor's name in nlvid's networks, or None if no rule matches."""
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
