"""A run in a process of its own, or in several.

``python -m tests.training.child VIDEOS OUTPUT [HOW]``, or :func:`run_rank` as the target of a process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.datasets.split import Split
from nlvid_cli.training import loop, run
from nlvid_cli.training.model import Base, Trainee, make_trainee, tensors_of
from nlvid_cli.training.plan import Machine
from tests.training.made import EVERYTHING, TINY, train

FINE_TUNING = replace(
    EVERYTHING, learning_rate=0.05, fresh_factor=10.0, freeze_norm=True, schedule="cosine", precision="fp32"
)
"""As the preset ``finetune``: frozen norms, and a learning rate for trained weights."""


def main(
    videos: Path,
    output: Path,
    how: str = "",
    *,
    resume: bool = False,
    epochs: int = EVERYTHING.epochs,
    validate: bool = True,
) -> None:
    """Train on a folder of videos.

    Args:
        videos: Folder of videos, also used for validation.
        output: Folder of the run. The state is saved after every step.
        how: ``double`` for float64, ``finetune`` for trained weights, ``workers`` for a long run with a worker process.
        resume: Whether to continue the run in ``output``.
        epochs: Number of epochs.
        validate: Whether to validate.
    """
    data = read_data_set(videos)
    split = Split(data, data if validate else replace(data, videos=()), "same")
    machine = Machine("cpu", 1, 0.0, memory_mib=0) if how == "workers" else Machine("cpu", save_minutes=0.0)
    base, recipe = (trained_base(), FINE_TUNING) if how == "finetune" else (TINY, EVERYTHING)
    with double_precision() if how == "double" else ExitStack():
        train(split, output, base, replace(recipe, epochs=epochs), machine, resume=resume)


def run_rank(rank: int, ranks: int, port: int, *arguments: Any, **options: Any) -> None:
    """Be one process of a distributed run, as torchrun starts them."""
    os.environ |= {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": f"{ranks}", "LOCAL_WORLD_SIZE": f"{ranks}"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}"}
    torch.set_num_threads(1)
    main(*arguments, **options)


def run_alone(*arguments: Any, **options: Any) -> None:
    """Be the only process of a run."""
    torch.set_num_threads(1)
    main(*arguments, **options)


def trained_base() -> Base:
    """Return weights in the place of trained ones, for other classes."""
    trainee = make_trainee(TINY, ("one", "two", "three"), "single", EVERYTHING, None, seed=3)
    return Base(trainee.card, tensors_of(trainee.network.state_dict()))


@contextmanager
def double_precision() -> Iterator[None]:
    """Let networks train in float64.

    In float32, several processes round differently from one, by 1e-7. Sooner or later that decides on which side of 0
    the input of a ReLU falls, and these tiny networks then learn differently, as after any change of 1e-7 in a weight.
    """
    make, normalise = run.make_trainee, loop.normalise

    def made(*arguments: Any) -> Trainee:
        trainee = make(*arguments)
        trainee.network.double()
        return trainee

    def normalised(*arguments: Any) -> Tensor:
        return normalise(*arguments).double()

    with patch.object(run, "make_trainee", made), patch.object(loop, "normalise", normalised):
        yield


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4], epochs=1000 if "workers" in sys.argv else 10)
    except KeyboardInterrupt:
        sys.exit(130)
