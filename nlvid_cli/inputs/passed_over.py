"""What a folder holds besides videos: counted, so that it can be told."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field

from nlvid_cli.video.suffixes import PICTURE_SUFFIXES

MOST_KINDS = 5
"""Suffixes to name; the rest is "others"."""

NO_SUFFIX = "without a suffix"

FRAMES_ADVICE = "folders of frames are videos where a list names each of them (path frames label)"

_HOUSEKEEPING = re.compile(r"\.|(thumbs\.db|ehthumbs\.db|desktop\.ini)$", re.IGNORECASE)
"""Beginning of the names of hidden files, and the names of what file managers keep in a folder."""

_SUFFIX = re.compile(r"\.[a-z0-9_+-]{1,12}")
"""Suffix that is worth telling. Others are ends of sentences, or more than a terminal should get."""


@dataclass
class PassedOver:
    """Files that are not videos, by kind; ``str()`` is for a note: ``12 files passed over: 9 .txt, 3 .jpg``.

    Hidden files, and what file managers leave in every folder, do not count.

    Attributes:
        kinds: Number of files by suffix in small letters, :data:`NO_SUFFIX`, or "" for an odd suffix.
    """

    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, path: str) -> None:
        """Count a file by its name."""
        name = os.path.basename(path)
        if _HOUSEKEEPING.match(name):
            return
        suffix = os.path.splitext(name)[1].lower()
        self.kinds[suffix if _SUFFIX.fullmatch(suffix) else "" if suffix else NO_SUFFIX] += 1

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def __str__(self) -> str:
        """Return the number of files, and of the most frequent kinds."""
        named = Counter({kind: count for kind, count in self.kinds.items() if kind}).most_common(MOST_KINDS)
        parts = [f"{count} {kind}" for kind, count in named]
        total = self.kinds.total()
        others = total - sum(count for _, count in named)
        if others:
            parts.append(f"{others} other{'s' * (others > 1)}")
        return f"{total} file{'s' * (total > 1)} passed over: {', '.join(parts)}"

    @property
    def are_frames(self) -> bool:
        """Whether half of the files or more are pictures."""
        return 2 * sum(self.kinds[suffix] for suffix in PICTURE_SUFFIXES) >= self.kinds.total() > 0
