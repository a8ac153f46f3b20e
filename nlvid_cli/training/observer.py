"""What a run reports while it goes on, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class StepRow:
    """A step of the optimiser.

    Attributes:
        step: Number of the step, from 1.
        steps: Number of steps of the whole run.
        epoch: Epoch, from 1.
        loss: Mean loss over the batch.
        learning_rate: Learning rate of layers that come from the base.
        clips_per_second: Clips per second over all processes, since the last row.
        data_wait: Share of the time since the last row that this process waited for clips, in [0, 1].
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
    """A validation at the end of an epoch.

    Attributes:
        step: Number of steps so far.
        epoch: Epoch, from 1.
        train_loss: Mean loss over the steps since the last such row.
        train_figure: Top-1 accuracy or mAP of the training clips since the last such row, in [0, 1]; NaN if no clip
            has a label.
        figures: Validation figures by name, in [0, 1]; empty if no validation video has a label.
        best: Whether the model is the best so far.
    """

    step: int
    epoch: int
    train_loss: float
    train_figure: float
    figures: dict[str, float]
    best: bool


class Observer(Protocol):
    """Receives the progress of a run."""

    def note(self, text: str) -> None:
        """Receive a sentence for the user."""

    def step(self, row: StepRow) -> None:
        """Receive a finished step."""

    def epoch(self, row: EpochRow) -> None:
        """Receive the validation at the end of an epoch."""

    def close(self) -> None:
        """Stop; the run is over, whether or not it was successful."""


class Silent:
    """Observer that shows nothing."""

    def note(self, text: str) -> None:
        """Ignore the note."""

    def step(self, row: StepRow) -> None:
        """Ignore the step."""

    def epoch(self, row: EpochRow) -> None:
        """Ignore the epoch."""

    def close(self) -> None:
        """Do nothing."""
