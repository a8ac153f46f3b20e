"""From a video to its explanation: read its clips, find the one that decides, and ask the network about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.backends import Array, Backend, BlockChange, Gradients
from nlvid_cli.backends.attention import require_blocks
from nlvid_cli.card.card import Card
from nlvid_cli.card.geometry import map_axes
from nlvid_cli.errors import UsageError, did_you_mean
from nlvid_cli.recognize.combine import combination
from nlvid_cli.recognize.explain.attention import QueryOptions, explain_blocks
from nlvid_cli.recognize.explain.check import Cells, Check
from nlvid_cli.recognize.explain.clip import ReadClips, read_clip_at, read_clips
from nlvid_cli.recognize.explain.heat import HEAT_MAPS
from nlvid_cli.recognize.explain.places import MapPlaces, Point, ViewPlaces
from nlvid_cli.recognize.explain.values import Curves, ExplainedBlock, Explanation, HeatMap, Method
from nlvid_cli.recognize.pipeline.batches import VideoOutputs
from nlvid_cli.recognize.prediction import LabelScore, Prediction
from nlvid_cli.video.preprocess import preprocess

if TYPE_CHECKING:
    from nlvid_cli.video.info import Pixels
    from nlvid_cli.video.segment import Segment

IGNORES_WEIGHTS = (
    "the non-local block after {} adds the same everywhere, whatever it attends to (it is still as it was inserted, or "
    "its scale is zero), so it has no arrows"
)


@dataclass(frozen=True)
class ExplainOptions:
    """What to explain, and how.

    Attributes:
        label: Name of the label, in upper or lower case; None: the best one of the video.
        at_seconds: Explain the clip in whose middle this time is; None: the clip of the video that speaks most for the
            label.
        points: Points whose arrows to draw.
        auto: Whether to draw those of the position, in each block, whose change raises the label's logit the most;
            None: if there are no points, no ``change`` and no grid.
        change: Whether to draw those of the position that each block changes the most.
        grid: Number of positions to ask along time, height and width; None: none.
        blocks: Names of the non-local blocks; None: all.
        arrows: Number of arrows from each place.
        methods: Heat maps to make.
        check: Whether to measure deletion and insertion.

    Raises:
        UsageError: A value is impossible.
    """

    label: str | None = None
    at_seconds: float | None = None
    points: tuple[Point, ...] = ()
    auto: bool | None = None
    change: bool = False
    grid: tuple[int, int, int] | None = None
    blocks: tuple[str, ...] | None = None
    arrows: int = 20
    methods: tuple[Method, ...] = ("gradcam", "hirescam")
    check: bool = False

    def __post_init__(self) -> None:
        if self.arrows < 1:
            raise UsageError(f"there must be at least 1 arrow, not {self.arrows}")
        if self.grid is not None and min(self.grid) < 1:
            raise UsageError(f"a grid has at least 1 position along each axis, not {min(self.grid)}")

    @property
    def queries(self) -> QueryOptions:
        """What to ask of each block."""
        others = bool(self.points) or self.change or self.grid is not None
        auto = not others if self.auto is None else self.auto
        return QueryOptions(self.points, auto, self.change, self.grid, self.arrows)


@dataclass(frozen=True, eq=False)
class Model:
    """What an explanation needs of a recognizer.

    Attributes:
        card: The model's card, with the views that are used.
        backend: Runs the network.
        names: Labels, in the order of the scores.
        combined: Scores, (classes,), of the outputs of some views, (..., classes).
        predict: Names the actions of a video from the outputs of its views.
    """

    card: Card
    backend: Backend
    names: Sequence[str]
    combined: Callable[[Array], Array]
    predict: Callable[[VideoOutputs], Prediction]


@dataclass(frozen=True, eq=False)
class _Decision:
    """The view that is explained: which clip, which crop, and for which label."""

    prediction: Prediction
    label: LabelScore
    clip: int
    crop: int
    score: float


def explain(model: Model, segment: Segment, options: ExplainOptions) -> Explanation:
    """Explain why a model gives a label to a video.

    Raises:
        UsageError: The backend computes no gradients, or a point or a time is not there.
        UnknownName: There is no such label or block.
        VideoError: The video cannot be used.
        InputShapeError: Its clips are too short or too small for the network.
        NumericalError: The network produced NaN or infinity.
    """
    card, rules = model.card, model.card.preprocess
    blocks = _block_names(card, options)
    label = None if options.label is None else _label_index(model, options.label)
    at = options.at_seconds
    clips = read_clips(segment, card.sampling, rules) if at is None else read_clip_at(segment, card.sampling, rules, at)
    decision = _decide(model, segment, clips, label)
    pictures = clips.pictures[decision.clip]
    view = preprocess(pictures[None], rules)[decision.crop : decision.crop + 1]
    places = clips.view(decision.clip, decision.crop, rules)
    gradients = model.backend.gradients(view, decision.label.index, blocks)
    explained = explain_blocks(model.backend, view, places, card.architecture, gradients.blocks, options.queries)
    heat_maps = _heat_maps(card, places, gradients, options.methods)
    number = clips.places.index(decision.clip)
    return Explanation(
        prediction=decision.prediction,
        label=decision.label,
        score=decision.score,
        start_seconds=clips.start_seconds[number],
        end_seconds=clips.end_seconds[number],
        frames=places.frames,
        pictures=_eight_bits(pictures),
        seen=places.box,
        blocks=explained,
        heat_maps=heat_maps,
        check=_check(model.backend, view, decision.label.index, explained, heat_maps) if options.check else None,
        warnings=decision.prediction.warnings + _remarks(gradients.blocks),
    )


def _block_names(card: Card, options: ExplainOptions) -> tuple[str, ...]:
    """Return the blocks to ask, in the order of the network."""
    blocks = card.architecture.nonlocal_blocks
    if options.blocks is None:
        if options.points and (blocks is None or not blocks.after):
            raise UsageError(f"{card.name} has no non-local blocks, so no arrows go from a point")
        return () if blocks is None else blocks.after
    require_blocks(card, options.blocks)
    assert blocks is not None or not options.blocks
    return tuple(name for name in (blocks.after if blocks else ()) if name in options.blocks)


def _label_index(model: Model, name: str) -> int:
    folded = [label.casefold() for label in model.names]
    if name.casefold() not in folded:
        hint = f"`nlvid models labels {model.card.name}` lists them"
        raise did_you_mean("label", name, model.names, hint)
    return folded.index(name.casefold())


def _decide(model: Model, segment: Segment, clips: ReadClips, label: int | None) -> _Decision:
    """Look at all clips, and choose the view that speaks most for the label."""
    rules, pick = model.card.preprocess, combination(model.card.labels).pick
    different = range(len(clips.numbers))
    outputs = [model.backend.outputs(preprocess(clips.pictures[clip : clip + 1], rules)) for clip in different]
    picked = [pick(views) for views in outputs]  # (crops, classes) of each different clip
    video = VideoOutputs(
        segment,
        clips.info.facts,
        clips.start_seconds,
        clips.end_seconds,
        np.stack([picked[place] for place in clips.places]),
        clips.warnings,
    )
    prediction = model.predict(video)
    index = prediction.predictions[0].index if label is None else label
    clip = int(np.argmax([model.combined(views)[index] for views in picked]))
    scores = outputs[clip].scores[:, index]
    crop = int(scores.argmax())
    whole = float(model.combined(video.outputs)[index])
    return _Decision(prediction, LabelScore(model.names[index], index, whole), clip, crop, float(scores[crop]))


def _heat_maps(card: Card, places: ViewPlaces, gradients: Gradients, methods: Sequence[Method]) -> tuple[HeatMap, ...]:
    where = MapPlaces(places, map_axes(places.size, card.architecture.windows_to()))
    assert where.size == gradients.features.shape[1:], (where.size, gradients.features.shape)
    return tuple(
        HeatMap(method, HEAT_MAPS[method](gradients.features, gradients.feature_gradient), where) for method in methods
    )


def _check(
    backend: Backend, view: Array, label: int, blocks: Sequence[ExplainedBlock], heat_maps: Sequence[HeatMap]
) -> Mapping[str, Curves]:
    check = Check(backend, view, label)
    orders: dict[str, Cells] = {heat.method: check.at_cells(heat.evidence, heat.places.axes) for heat in heat_maps}
    orders |= {f"block {block.name}": check.at_cells(block.effect, block.places.axes) for block in blocks}
    return {name: check.curves(order) for name, order in (orders | dict(check.plain_orders())).items()}


def _remarks(blocks: Mapping[str, BlockChange]) -> tuple[str, ...]:
    return tuple(IGNORES_WEIGHTS.format(name) for name, change in blocks.items() if change.ignores_weights)


def _eight_bits(pictures: Pixels) -> NDArray[np.uint8]:
    """Round where the card's resizing does not."""
    rounded: NDArray[np.uint8] = np.rint(pictures).clip(0, 255).astype(np.uint8)
    return rounded
