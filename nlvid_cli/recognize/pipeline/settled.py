"""When more clips of a video would change nothing: ``--views auto``.

The clips are looked at in an order in which each lies far from those before it. After a few, the answer is settled if
all of them have the same label on top, and it leads clearly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

FIRST_CLIPS = 3
"""Clips that are looked at before an answer can be taken for settled."""

MIN_LEAD = 0.25
"""How far the best label has to lead, in scores of the video, before it is taken for settled."""


def is_settled(combined: Callable[[Array], Array]) -> Callable[[Array], bool]:
    """The rule, for a model.

    Args:
        combined: outputs of clips, (clips, crops, classes), to the scores of the video, (classes,).

    Returns:
        Of the outputs of the clips so far, whether every single clip has the video's best label on top, and the
        second one is at least :data:`MIN_LEAD` behind.
    """

    def settled(outputs: Array) -> bool:
        scores = combined(outputs)
        second, best = np.sort(scores)[-2:] if len(scores) > 1 else (0.0, scores[0])
        agree = all(int(combined(clip).argmax()) == int(scores.argmax()) for clip in outputs)
        return agree and bool(best - second >= MIN_LEAD)

    return settled


def spread_out(clips: int) -> list[int]:
    """Numbers of clips, each as far as can be from those before it: the middle, the ends, and what lies between.

    ::

        10 clips    5  0  9  2  7  1  3  4  6  8
    """
    order = [clips // 2]
    while len(order) < clips:
        rest = [clip for clip in range(clips) if clip not in order]
        order.append(max(rest, key=lambda clip: min(abs(clip - other) for other in order)))
    return order
