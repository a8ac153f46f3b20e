"""Recipes: how a network is trained. The presets take their figures from "Non-local Neural Networks", section 4.1.

The paper counts iterations; here they are epochs of its data sets: 400k batches of 64 clips are 107 epochs of the 240k
training videos of Kinetics. Its learning rates are all 0.01 for 64 clips, in proportion to the batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from nlvid_cli.errors import UsageError, did_you_mean

Schedule = Literal["step", "cosine"]
Loss = Literal["auto", "softmax", "sigmoid"]
PrecisionName = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; saved with every run.

    Attributes:
        name: of the preset that it began as.
        epochs: how often each training video is looked at.
        batch: clips per step of the optimiser, over all processes.
        accumulation: forward passes that a batch is cut into; batch norm sees one of them.
        learning_rate: for a batch of ``learning_rate_batch`` clips; it is scaled in proportion to ``batch``.
        learning_rate_batch: see ``learning_rate``.
        fresh_factor: factor on the learning rate of layers that start from random weights beside trained ones.
        schedule: ``step`` divides the learning rate by 10 at each of ``drops``, ``cosine`` lets it fall to 0.
        drops: shares of the run, in [0, 1].
        warmup: share of the run in which the learning rate rises from a tenth.
        momentum: of stochastic gradient descent.
        weight_decay: on everything but normalisation.
        loss: ``softmax`` for one label a video, ``sigmoid`` for any number; ``auto`` as the data set is.
        label_smoothing: share of the target that is spread over all classes (softmax only).
        mixup: alpha of the beta distribution that pairs of clips are mixed by; 0: not at all.
        class_weights: whether rare classes count more, in inverse proportion to their videos (softmax only).
        dropout: share of the pooled features that is set to zero.
        frames: of a clip; None: as the base has it.
        step: distance between them; None: as the base has it.
        crop: pixels of the square crop; None: as the base has it.
        short_sides: range of the short side before cropping, in crops: 256 / 224 to 320 / 224 in the paper.
        flip: whether clips are mirrored at random; classes named after left or right switch it off.
        until: the base ends behind this layer, with the new head there; None: it is whole.
        freeze: everything up to and including this layer of the network stays as it is.
        freeze_norm: normalisation that came with the base stays as it is, statistics, scale and shift.
        average_decay: of an exponential moving average of the weights, which then is the result; 0: none.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 where the hardware has units for it.
        store: ``fp32``, or ``fp16``, which makes the model file half as large; it is validated as it is stored.
        validate_every: epochs from one validation to the next.
        early_stop: epochs without a better validation after which training ends; None: never.
    """

    name: str
    epochs: int = 30
    batch: int = 8
    accumulation: int = 1
    learning_rate: float = 0.01
    learning_rate_batch: int = 64
    fresh_factor: float = 1.0
    schedule: Schedule = "step"
    drops: tuple[float, ...] = (0.375, 0.75)
    warmup: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    loss: Loss = "auto"
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
        """Refuse figures that cannot be right."""
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
        """For this batch: "linear scaling"."""
        return self.learning_rate * self.batch / self.learning_rate_batch

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Learning rate of step ``step`` (from 0) out of ``steps``."""
        warmup_steps = round(self.warmup * steps)
        if step < warmup_steps:
            return self.peak_learning_rate * (0.1 + 0.9 * (step + 1) / warmup_steps)
        if self.schedule == "cosine":
            share = (step - warmup_steps) / max(1, steps - warmup_steps)
            return self.peak_learning_rate * (1 + math.cos(math.pi * share)) / 2
        passed: int = sum(step >= round(drop * steps) for drop in self.drops)
        return self.peak_learning_rate * 0.1**passed

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """The recipe with those fields changed that are not None in ``changes``."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def describe(self) -> str:
        """What it says, in a few lines."""
        base = asdict(Recipe(self.name))
        shown = {"epochs", "batch"} | {name for name, value in asdict(self).items() if value != base[name]}
        parts = [f"{f.name.replace('_', ' ')} {_text(getattr(self, f.name))}" for f in fields(self) if f.name in shown]
        rate = f"learning rate {self.peak_learning_rate:.3g} for {self.batch} clips"
        return f"recipe {self.name}: {', '.join([rate, *(part for part in parts if not part.startswith('name'))])}"


def _require(recipe: Recipe, name: str, right: bool, rule: str) -> None:
    if not right:
        raise UsageError(f"{name.replace('_', ' ')} is {getattr(recipe, name)}; it must be {rule}")


RECIPES: dict[str, Recipe] = {
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
"""Presets by name. ``scratch`` is for the small network of ``--scratch``; the others go on from trained weights.

``small`` is for the Inception I3D, and made the bundled model: little data, and minutes on a CPU.
"""


def find_recipe(name: str) -> Recipe:
    """The preset of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in RECIPES:
        raise did_you_mean("recipe", name, RECIPES, f"there are {', '.join(RECIPES)}")
    return RECIPES[name]


def with_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with fields changed by texts such as ``dropout=0.3``, ``flip=false``, ``drops=[0.5,0.8]``.

    Raises:
        UsageError: a text is no setting, or its value does not fit.
        UnknownName: there is no such field.
    """
    values = asdict(recipe)
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"--set {setting}: write NAME=VALUE, such as dropout=0.3")
        if name not in values or name == "name":
            raise did_you_mean("setting of a recipe", name, set(values) - {"name"}, "`nlvid train --help` tells more")
        try:
            values[name] = json.loads(text)
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
