"""Recipes: how a network is trained. The presets take their figures from "Non-local Neural Networks", section 4.1.

The paper counts iterations, and recipes count epochs of its data sets: 400k batches of 64 clips are 107 epochs of the
240k training videos of Kinetics. All its learning rates are 0.01 for 64 clips, in proportion to the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from nlvid_cli.errors import UsageError, did_you_mean
from nlvid_cli.system.strict_json import parse_json

Schedule = Literal["step", "cosine"]
LossName = Literal["auto", "softmax", "sigmoid"]
PrecisionName = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Recipe:
    """How to train a network. Every run saves its recipe.

    Attributes:
        name: Name of the preset that the recipe started from.
        epochs: Number of epochs.
        batch: Clips per optimiser step, over all processes.
        accumulation: Forward passes per step. Batch norm sees the clips of one pass.
        learning_rate: Learning rate for ``learning_rate_batch`` clips, scaled in proportion to ``batch``.
        learning_rate_batch: Batch that ``learning_rate`` is for.
        head_start: How a new head starts beside trained layers: ``linear``, fitted on the features of the base, or
            ``random``. If the head is all that is trained, a linear one is not trained any further; ``auto`` is
            ``linear`` then, and ``random`` otherwise.
        fresh_factor: Factor on the learning rate of layers that start from random weights beside trained ones.
        schedule: ``step`` divides the learning rate by 10 at each of ``drops``; ``cosine`` lowers it to 0.
        drops: Shares of the run, in [0, 1].
        warmup: Share of the run in which the learning rate rises from a tenth.
        momentum: Momentum of stochastic gradient descent.
        weight_decay: Weight decay of everything except normalisation.
        loss: ``softmax`` for one label per video, ``sigmoid`` for any number, ``auto`` for what the data set has.
        label_smoothing: Share of the target that is spread over all classes (softmax only).
        mixup: Alpha of the beta distribution that pairs of clips are mixed by; 0 for no mixup.
        class_weights: Whether classes count in inverse proportion to their videos (softmax only).
        dropout: Share of the pooled features that is set to zero.
        frames: Frames per clip; None for that of the base.
        step: Frames from one frame of a clip to the next; None for that of the base.
        crop: Side of the square crop in pixels; None for that of the base.
        short_sides: Range of the short side before cropping, in crops: 256 / 224 to 320 / 224 in the paper.
        flip: Whether to mirror clips at random. Classes named after left or right switch it off.
        until: Layer of the base that the new head follows; None for the whole base.
        freeze: Last layer that is not trained, nor any layer before it; ``all`` for all but the head, None to train
            all.
        freeze_norm: Whether to leave the normalisation of the base as it is: statistics, scale, and shift.
        average_decay: Decay of an exponential moving average of the weights, which becomes the model; 0 for none.
        precision: ``fp32``, ``bf16``, or ``auto``, which is bf16 if the hardware has units for it.
        store: ``fp32``, or ``fp16`` for a model file of half the size. The model is validated as it is stored.
        validate_every: Epochs between validations.
        early_stop: Epochs without a better validation after which training stops; None for never.
    """

    name: str
    epochs: int = 30
    batch: int = 8
    accumulation: int = 1
    learning_rate: float = 0.01
    learning_rate_batch: int = 64
    head_start: Literal["auto", "linear", "random"] = "auto"
    fresh_factor: float = 1.0
    schedule: Schedule = "step"
    drops: tuple[float, ...] = (0.375, 0.75)
    warmup: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    loss: LossName = "auto"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    class_weights: bool = False
    dropout: float = 0.5
    frames: int | None = None
    step: int | None = None
    crop: int | None = None
    short_sides: tuple[float, float] = (256 / 224, 320 / 224)
    flip: bool = True
    until: str | None = None
    freeze: str | None = None
    freeze_norm: bool = False
    average_decay: float = 0.0
    precision: PrecisionName = "auto"
    store: Literal["fp32", "fp16"] = "fp32"
    validate_every: int = 1
    early_stop: int | None = None

    def __post_init__(self) -> None:
        """Check that all values are in range.

        Raises:
            UsageError: One is not.
        """
        for name in ("epochs", "batch", "accumulation", "learning_rate_batch", "validate_every"):
            _require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("frames", "step", "crop", "early_stop"):
            _require(self, name, getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
        _require(self, "learning_rate", math.isfinite(self.learning_rate) and self.learning_rate > 0, "above 0")
        for name in ("weight_decay", "mixup", "fresh_factor"):
            _require(self, name, getattr(self, name) >= 0, "at least 0")
        for name in ("momentum", "label_smoothing", "dropout", "average_decay", "warmup"):
            _require(self, name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        low, high = self.short_sides
        _require(self, "short_sides", 1 <= low <= high, "at least 1 crop, the smaller one first")

    @property
    def peak_learning_rate(self) -> float:
        """Highest learning rate of the run: the recipe's, scaled to its batch."""
        return self.learning_rate * self.batch / self.learning_rate_batch

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of step ``step`` (from 0) out of ``steps``."""
        warmup_steps = round(self.warmup * steps)
        if step < warmup_steps:
            return self.peak_learning_rate * (0.1 + 0.9 * (step + 1) / warmup_steps)
        if self.schedule == "cosine":
            share = (step - warmup_steps) / max(1, steps - warmup_steps)
            return self.peak_learning_rate * (1 + math.cos(math.pi * share)) / 2
        passed: int = sum(step >= round(drop * steps) for drop in self.drops)
        return self.peak_learning_rate * 0.1**passed

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with the values in ``changes`` that are not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def describe(self) -> str:
        """Return a line with all values that differ from the defaults."""
        base = asdict(Recipe(self.name))
        shown = {"epochs", "batch"} | {name for name, value in asdict(self).items() if value != base[name]}
        parts = [f"{f.name.replace('_', ' ')} {_text(getattr(self, f.name))}" for f in fields(self) if f.name in shown]
        rate = f"learning rate {self.peak_learning_rate:.3g} for {self.batch} clips"
        return f"recipe {self.name}: {', '.join([rate, *(part for part in parts if not part.startswith('name'))])}"


def _require(recipe: Recipe, name: str, right: bool, rule: str) -> None:
    if not right:
        raise UsageError(f"{name.replace('_', ' ')} is {getattr(recipe, name)}; it must be {rule}")


RECIPES: dict[str, Recipe] = {
    "probe": Recipe("probe", class_weights=True, freeze="all"),
    "finetune": Recipe(
        "finetune",
        learning_rate=0.05,
        fresh_factor=10.0,
        schedule="cosine",
        warmup=0.05,
        label_smoothing=0.1,
        class_weights=True,
        freeze_norm=True,
        early_stop=10,
    ),
    "small": Recipe(
        "small",
        epochs=20,
        learning_rate=0.06,
        fresh_factor=10.0,
        schedule="cosine",
        warmup=0.05,
        label_smoothing=0.05,
        class_weights=True,
        dropout=0.2,
        frames=16,
        step=2,
        crop=112,
        until="mixed_4b",
        freeze_norm=True,
        store="fp16",
        validate_every=20,
    ),
    "paper-32": Recipe("paper-32", epochs=107, batch=64, frames=32, step=2, crop=224),
    "paper-128": Recipe("paper-128", epochs=27, batch=16, frames=128, step=1, crop=224, freeze_norm=True),
    "charades": Recipe("charades", epochs=200, loss="sigmoid", frames=128, step=1, crop=288, freeze_norm=True),
    "scratch": Recipe(
        "scratch",
        epochs=110,
        batch=16,
        learning_rate=0.2,
        schedule="cosine",
        warmup=0.05,
        weight_decay=5e-4,
        label_smoothing=0.1,
        class_weights=True,
        dropout=0.3,
        validate_every=5,
    ),
}
"""Presets by name. ``scratch`` is for the small network of ``--scratch``; the others start from trained weights.

``small`` is for the Inception I3D, little data, and minutes on a CPU. It made the bundled model.
"""


def find_recipe(name: str) -> Recipe:
    """Return the preset of that name.

    Raises:
        UnknownName: There is no such preset.
    """
    if name not in RECIPES:
        raise did_you_mean("recipe", name, RECIPES, f"the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]


def with_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Return the recipe with values from texts such as ``dropout=0.3``, ``flip=false``, or ``drops=[0.5,0.8]``.

    Raises:
        UsageError: A text is not a setting, or its value is not valid.
        UnknownName: A recipe has no such setting.
    """
    values = asdict(recipe)
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--set {setting}: write NAME=VALUE, such as dropout=0.3")
        if name not in values or name == "name":
            raise did_you_mean("setting of a recipe", name, set(values) - {"name"}, "see `nlvid train --help`")
        try:
            values[name] = parse_json(text)
        except ValueError:
            values[name] = None if text == "none" else text
    try:
        return TypeAdapter(Recipe).validate_python(values)
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}: {fault['msg'].lower()}" for fault in error.errors())
        raise UsageError(f"--set: {faults}") from None


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
