"""The full state of a run in one file, written whole or not at all.

Random numbers need no state: all of them are drawn from the seed and from what they are for.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from nlvid_cli.errors import UsageError
from nlvid_cli.training.writing import STATE_FILE, writing


@dataclass
class RunState:
    """What a run needs to go on.

    Attributes:
        step: steps of the optimiser that are done.
        network: weights and statistics by name.
        optimizer: its own state.
        average: the exponential moving average of the weights by name; empty: there is none.
        best: the best validation so far; None: there was none.
        best_epoch: when it was, from 1.
        losses: of the steps since the last validation.
        train_figures: state of the figures on training clips since then.
        bad: path and fault of training videos that could not be used.
    """

    step: int
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor]
    best: float | None
    best_epoch: int
    losses: list[float]
    train_figures: dict[str, Any]
    bad: dict[str, str]


def save_state(state: RunState, folder: Path) -> None:
    """Write the state under a temporary name, and then put it in the place of the last one.

    Raises:
        OutputError: it cannot be written; the last one is still there.
    """
    path = folder / STATE_FILE
    temporary = folder / f".{STATE_FILE}.{secrets.token_hex(4)}.tmp"
    with writing(path):
        try:
            with temporary.open("wb") as file:
                _save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _save(state: RunState, file: IO[bytes]) -> None:
    try:
        torch.save(vars(state), file)
    except RuntimeError as error:  # by which torch replaces what writing raised
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def load_state(folder: Path) -> RunState:
    """The state that :func:`save_state` wrote last.

    Raises:
        UsageError: it does not load.
    """
    path = folder / STATE_FILE
    try:
        return RunState(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # what torch raises for a bad file is of many kinds
        raise UsageError(f"{path}: does not load ({error}); start anew with another --output") from None
