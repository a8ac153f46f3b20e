"""What the user decides about a run: the model to start from, the recipe, the split, and the machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike

import numpy as np

from nlvid_cli.backends.torch_backend import choose_device
from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.split import (
    Split,
    folds,
    leave_one_group_out,
    split_by_column,
    split_by_fraction,
    split_by_group,
    stated_parts,
)
from nlvid_cli.errors import UsageError
from nlvid_cli.models.convert import has_no_head
from nlvid_cli.models.find import find_default, find_model
from nlvid_cli.models.imagenet import imagenet_base, is_imagenet
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.models.progress import Progress
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.training.model import SCRATCH, Base, Trainee
from nlvid_cli.training.recipe import Recipe, find_recipe

log = logging.getLogger(__name__)

AUTO = "auto"

FEW_VIDEOS = 10
"""Videos of each class below which only the head is trained."""

VAL_FRACTION = 0.2
"""Share of the videos to validate on, if neither the user nor the data set chooses."""


@dataclass(frozen=True)
class Machine:
    """How to run the training. Results do not depend on it, except for rounding.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, or ``mps``.
        workers: Number of processes that decode clips. None chooses a number for this machine. With 0, the training
            process decodes, without limits.
        save_minutes: Minutes between saved states.
        memory_mib: Decoded videos are cached if they fit in this many MiB.
        limits: Time and memory that decoding one video may take.
    """

    device: str = "auto"
    workers: int | None = None
    save_minutes: float = 10.0
    memory_mib: int = 1024
    limits: WorkerLimits = field(default_factory=WorkerLimits)

    @property
    def reader_count(self) -> int:
        """Number of processes that decode while nothing else is done."""
        return usable_processors() if self.workers is None else self.workers


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that decides a run, apart from its videos and its folder.

    The command and :func:`nlvid_cli.train` build it once; all runs of a cross-validation share it.

    Attributes:
        base: Model to start from, of :func:`find_base`.
        recipe: How to train it.
        nonlocal_blocks: Non-local blocks to insert; see :func:`nlvid_cli.training.model.nonlocal_places`.
        seed: Random seed.
        resume: Whether to continue the run in the folder, if there is one.
        machine: Device, workers, memory.
    """

    base: Base
    recipe: Recipe
    nonlocal_blocks: str | None = None
    seed: int = 0
    resume: bool = False
    machine: Machine = field(default_factory=Machine)

    def fits_head(self, trainee: Trainee) -> bool:
        """Whether the head is to be fitted on the features of the base."""
        wanted = "linear" if trainee.trains_only_head else "random"
        if self.recipe.head_start != "auto":
            wanted = self.recipe.head_start
        has_to = trainee.has_new_head or trainee.trains_only_head
        return wanted == "linear" and has_to and self.base.tensors is not None


def require_one_start(scratch: bool, base: object, as_name: str | None) -> None:
    """Check that the user names one thing to start from.

    Raises:
        UsageError: ``scratch`` comes with a base, or ``as_name`` without one.
    """
    if scratch and base is not None:
        raise UsageError("--scratch starts from random weights and --base from a trained model; choose one")
    if as_name is not None and base is None:
        raise UsageError("--as names the network of the file given with --base; add --base FILE")


def find_base(
    name_or_path: str | PathLike[str] | None,
    as_name: str | None = None,
    progress: Progress | None = None,
    scratch: bool = False,
) -> Base:
    """Find the model to start from, and download it if needed.

    Args:
        name_or_path: As for :func:`nlvid_cli.load`, or an ImageNet network as in :mod:`nlvid_cli.models.imagenet`. None
            chooses the first available model of the manifest's defaults.
        as_name: For a file without a model card: the model whose network it holds.
        progress: Receives download progress.
        scratch: Whether to start from the small network with random weights instead.

    Raises:
        UnknownName: There is no such model.
        ModelError: The model is not available.
    """
    if scratch:
        return SCRATCH
    if is_imagenet(name_or_path):
        if as_name is not None:
            raise UsageError(f"{name_or_path}: an ImageNet network has the network that it says; leave --as out")
        return Base(*imagenet_base(str(name_or_path), progress))
    if name_or_path is None:
        card, file = find_default(progress)
    else:
        card, file = find_model(name_or_path, as_name, progress, any_head=True)
    if has_no_head(card):
        log.info("%s, and training gives it a new one", card.summary)
    return Base(card, open_checkpoint(file)[1])


@dataclass(frozen=True)
class RecipeChoice:
    """A recipe, and why it was chosen; "" if the user named it."""

    recipe: Recipe
    why: str = ""


def choose_recipe(
    name: str | None, scratch: bool, data: DataSet, device: str = "auto", asked_for: Sequence[str] = ()
) -> RecipeChoice:
    """Return the recipe of that name, or choose one.

    Args:
        name: Name of a preset; None or ``auto`` chooses by the data and the machine.
        scratch: Whether the small network starts from random weights.
        data: Training videos.
        device: As in :class:`Machine`.
        asked_for: Options of the user that only training of more than the head can follow, such as ``--nonlocal``.

    Raises:
        UnknownName: There is no such recipe.
        DeviceError: The device is not available.
    """
    if name not in (None, AUTO):
        return RecipeChoice(find_recipe(str(name)))
    if scratch:
        return RecipeChoice(find_recipe("scratch"), "--scratch")
    if asked_for:
        return RecipeChoice(find_recipe("finetune"), f"{' and '.join(asked_for)} asks for training")
    counts = np.bincount([label for video in data.videos for label in video.labels], minlength=1)
    fewest = min((count for count in counts.tolist() if count), default=0)
    if choose_device(device).type == "cpu":
        return RecipeChoice(find_recipe("probe"), "there is no GPU; --recipe finetune trains all layers, for hours")
    if fewest < FEW_VIDEOS:
        return RecipeChoice(
            find_recipe("probe"),
            f"a class has only {fewest} videos; --recipe finetune trains all layers, and needs about {FEW_VIDEOS}",
        )
    return RecipeChoice(find_recipe("finetune"), f"there is a GPU, and each class has {fewest} videos or more")


@dataclass(frozen=True)
class SplitChoice:
    """How to divide the videos into training and validation.

    Attributes:
        val_fraction: Share of the videos to validate on; 0 for none. None takes the data set's own split, or else
            :data:`VAL_FRACTION`.
        group_by: Regular expression; files whose names have the same match stay on the same side.
        folds: Number of runs of a cross-validation.
        leave_one_out: Whether to cross-validate with one run per group.
        seed: Random seed of the split.
    """

    val_fraction: float | None = None
    group_by: str | None = None
    folds: int | None = None
    leave_one_out: bool = False
    seed: int = 0

    @property
    def is_cross_validation(self) -> bool:
        """Whether the choice leads to several runs."""
        return self.leave_one_out or self.folds is not None


def choose_splits(data: DataSet, choice: SplitChoice) -> list[Split]:
    """Return one split, or those of a cross-validation.

    Raises:
        UsageError: The choices contradict each other, or the data set cannot be split like this.
    """
    if choice.is_cross_validation and choice.val_fraction is not None:
        raise UsageError("a cross-validation validates on every video once; remove --val-fraction")
    if choice.leave_one_out and choice.folds is not None:
        raise UsageError("--folds and --leave-one-out are two kinds of cross-validation; choose one")
    if choice.leave_one_out:
        if choice.group_by is None:
            raise UsageError('--leave-one-out needs --group-by, such as "^[^_]+" for the text before the first _')
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
    if choice.val_fraction is None and stated_parts(data):
        return split_by_column(data)
    return split_by_fraction(data, fraction, choice.seed)
