"""What a run tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class StepRow:
    """A step of the optimiser.

    Attributes:
        step: from 1.
        steps: of the whole run.
        epoch: from 1.
        loss: mean over the batch.
        learning_rate: of layers that come from the base.
        clips_per_second: over all processes, since the row before.
        data_wait: share of the time since then in which this process waited for clips, in [0, 1].
    """

    step: int
    steps: int
    epoch: int
    loss: float
    learning_rate: float
    clips_per_second: float
    data_wait: float


@dataclass(frozen=True)
class EpochRow:
    """An epoch after which the model was validated.

    Attributes:
        step: steps so far.
        epoch: from 1.
        train_loss: mean over the steps since the last such row.
        train_figure: top-1 accuracy or mAP of the training clips in the meantime, in [0, 1], each as the network was
            then; NaN where none of them has a label.
        figures: of the validation by their names, in [0, 1]; empty where there are no validation videos with labels.
        best: whether it is the best so far.
    """

    step: int
    epoch: int
    train_loss: float
    train_figure: float
    figures: dict[str, float]
    best: bool


class Observer(Protocol):
    """Something that shows how a run goes."""

    def note(self, text: str) -> None:
        """A sentence that the user may want to read."""

    def step(self, row: StepRow) -> None:
        """A step is done."""

    def epoch(self, row: EpochRow) -> None:
        """An epoch is done, and validated."""

    def close(self) -> None:
        """The run is over, in whatever way."""


class Silent:
    """Shows nothing."""

    def note(self, text: str) -> None:
        """See :class:`Observer`."""

    def step(self, row: StepRow) -> None:
        """See :class:`Observer`."""

    def epoch(self, row: EpochRow) -> None:
        """See :class:`Observer`."""

    def close(self) -> None:
        """See :class:`Observer`."""
