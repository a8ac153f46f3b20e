"""Which process sees which clip when: epochs, steps, forward passes, and processes. Arithmetic only.

::

    epoch 0, permuted      7 2 9 4 | 1 0 5 3 | 8 6 7 2      10 videos, batch 4: the last step starts over
    step 0                 7 2 9 4
    forward pass 0, 1      7 2   9 4                        accumulation 2
    process 0, 1           7  2  9  4                       2 processes, 1 clip each
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nlvid_cli.errors import UsageError


class ClipKey(NamedTuple):
    """What identifies a training clip. Together with the seed, it decides the random numbers of the clip.

    Attributes:
        epoch: Epoch, from 0.
        place: Position in the order of the epoch, from 0.
        video: Number of the video.
    """

    epoch: int
    place: int
    video: int


@dataclass(frozen=True)
class Division:
    """Division of a run. A step consists of the same clips for any number of processes.

    Attributes:
        videos: Number of training videos.
        epochs: Number of epochs.
        batch: Clips per step, over all processes.
        accumulation: Forward passes per step.
        ranks: Number of processes.
        rank: Number of this process.
        seed: Random seed of the order.
    """

    videos: int
    epochs: int
    batch: int
    accumulation: int
    ranks: int
    rank: int
    seed: int

    def __post_init__(self) -> None:
        """Check that the batch divides evenly.

        Raises:
            UsageError: It does not.
        """
        parts = self.accumulation * self.ranks
        if self.batch % parts:
            raise UsageError(
                f"a batch of {self.batch} clips does not divide evenly among {self.ranks} processes with "
                f"{self.accumulation} forward passes each; use --batch {-(-self.batch // parts) * parts}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch, rounded up, so that each video is seen at least once."""
        return -(-self.videos // self.batch)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    @property
    def clips_per_pass(self) -> int:
        """Clips in one forward pass of one process."""
        return self.batch // (self.accumulation * self.ranks)

    def passes(self, first_step: int) -> Iterator[list[ClipKey]]:
        """Yield this process's clips of each forward pass, from step ``first_step`` to the end of the run."""
        order = self._order(first_step // self.steps_per_epoch)
        for step in range(first_step, self.steps):
            epoch, number = divmod(step, self.steps_per_epoch)
            if number == 0:
                order = self._order(epoch)
            for part in range(self.accumulation):
                begin = number * self.batch + (part * self.ranks + self.rank) * self.clips_per_pass
                places = range(begin, begin + self.clips_per_pass)
                yield [ClipKey(epoch, place, int(order[place % self.videos])) for place in places]

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch)).permutation(self.videos)
