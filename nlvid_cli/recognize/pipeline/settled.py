"""When more clips of a video would not change its answer: ``--views auto``.

Clips are looked at in an order in which each one is far from those before it. After a few of them, the answer is
settled if all agree on the best label, and it leads clearly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

FIRST_CLIPS = 3
"""Clips to look at before an answer may count as settled."""

MIN_LEAD = 0.25
"""Lead of the best label over the second, in scores of the video, at which an answer may count as settled."""


def is_settled(outputs: Array, combined: Callable[[Array], Array]) -> bool:
    """Whether each clip has the video's best label on top, and the second is at least :data:`MIN_LEAD` behind.

    Args:
        outputs: Outputs of the clips so far, (clips, crops, classes).
        combined: Function from outputs of clips to the scores of the video, (classes,).
    """
    scores = combined(outputs)
    second, best = np.sort(scores)[-2:] if len(scores) > 1 else (0.0, scores[0])
    agree = all(int(combined(clip).argmax()) == int(scores.argmax()) for clip in outputs)
    return agree and bool(best - second >= MIN_LEAD)


def spread_out(clips: int) -> list[int]:
    """Order in which each clip is as far as possible from those before it: the middle, the ends, then between.

    ::

        10 clips    5  0  9  2  7  1  3  4  6  8
    """
    order = [clips // 2]
    while len(order) < clips:
        rest = [clip for clip in range(clips) if clip not in order]
        order.append(max(rest, key=lambda clip: min(abs(clip - other) for other in order)))
    return order
