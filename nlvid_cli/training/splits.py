"""Which videos a run learns from and which it validates on, as the user asked for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.split import (
    Split,
    folds,
    leave_one_group_out,
    split_by_column,
    split_by_fraction,
    split_by_group,
)
from nlvid_cli.errors import UsageError

VAL_FRACTION = 0.2
"""Where nobody says anything."""


@dataclass(frozen=True)
class SplitChoice:
    """How to split.

    Attributes:
        val_fraction: share to validate on; 0: none; None: what the data set itself says, or else :data:`VAL_FRACTION`.
        group_by: pattern of what must stay together.
        folds: cross-validation in so many runs.
        leave_one_out: cross-validation in a run for each group.
        seed: of the choice.
    """

    val_fraction: float | None = None
    group_by: str | None = None
    folds: int | None = None
    leave_one_out: bool = False
    seed: int = 0

    @property
    def is_cross_validation(self) -> bool:
        """Whether there are several runs."""
        return self.leave_one_out or self.folds is not None


def choose_splits(data: DataSet, choice: SplitChoice) -> list[Split]:
    """One split, or those of a cross-validation.

    Raises:
        UsageError: the choices contradict each other, or the data set cannot be split so.
    """
    if choice.is_cross_validation and choice.val_fraction is not None:
        raise UsageError("a cross-validation validates on every video once; leave --val-fraction out")
    if choice.leave_one_out and choice.folds is not None:
        raise UsageError("--folds and --leave-one-out are two ways of cross-validation; choose one")
    if choice.leave_one_out:
        if choice.group_by is None:
            raise UsageError('--leave-one-out needs --group-by, such as "^[^_]+" for what comes before the first _')
        return list(leave_one_group_out(data, choice.group_by))
    if choice.folds is not None:
        return list(folds(data, choice.folds, choice.seed, choice.group_by))
    return [_one_split(data, choice)]


def _one_split(data: DataSet, choice: SplitChoice) -> Split:
    if choice.val_fraction == 0:
        return Split(data, replace(data, videos=()), "all")
    fraction = choice.val_fraction or VAL_FRACTION
    if choice.group_by is not None:
        return split_by_group(data, choice.group_by, fraction, seed=choice.seed)
    if choice.val_fraction is None and any(video.split for video in data.videos):
        return split_by_column(data)
    return split_by_fraction(data, fraction, choice.seed)
