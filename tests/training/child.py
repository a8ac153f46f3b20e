"""A run in a process of its own, or in several: ``python -m tests.training.child VIDEOS OUTPUT [HOW]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

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
"""As the preset ``finetune``: norms as they are, and a learning rate for weights that are trained already."""


def main(
    videos: Path,
    output: Path,
    resume: bool = False,
    double: bool = False,
    finetune: bool = False,
    workers: bool = False,
) -> None:
    data = read_data_set(videos)
    split = Split(data, data, "same")
    machine = Machine("cpu", 1, 0.0, memory_mib=0) if workers else Machine("cpu", save_minutes=0.0)
    base, recipe = (trained_base(), FINE_TUNING) if finetune else (TINY, EVERYTHING)
    if workers:
        recipe = replace(recipe, epochs=1000)
    with double_precision() if double else ExitStack():
        train(split, output, base, recipe, resume=resume, machine=machine)


def trained_base() -> Base:
    """Weights that count as trained ones, for other classes."""
    trainee = make_trainee(TINY, ("one", "two", "three"), "single", EVERYTHING, None, seed=3)
    return Base(trainee.card, tensors_of(trainee.network.state_dict()))


@contextmanager
def double_precision() -> Iterator[None]:
    """Let networks train in float64.

    In float32, processes and one process round differently, by 1e-7; sooner or later that decides on which side of 0 a
    ReLU's input falls, and these tiny networks then learn differently, as they do after any change of 1e-7 in a weight.
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
    how = {name: name in sys.argv[3:] for name in ("double", "finetune", "workers")}
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), **how)
    except KeyboardInterrupt:
        sys.exit(130)
