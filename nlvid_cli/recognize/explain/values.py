"""An explanation as frozen values: what every picture, page and table of it draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.recognize.explain.places import Box, ClipFrame, MapPlaces, Place, Point
from nlvid_cli.recognize.prediction import LabelScore, Prediction

Array = NDArray[np.float32]

Choice = Literal["point", "auto", "change", "grid"]
"""How a query was chosen: by a person; the largest effect on the label; the largest change; or one of a grid."""

Method = Literal["gradcam", "hirescam"]


@dataclass(frozen=True)
class Arrow:
    """From the place of a query to a place that it attends to.

    Attributes:
        place: Where it ends.
        weight: f / C of "Non-local Neural Networks", equation 1, with its sign.
    """

    place: Place
    weight: float


@dataclass(frozen=True, eq=False)
class Query:
    """What one position of a non-local block attends to.

    Attributes:
        chosen: How it was chosen.
        point: The point that was asked for; None if it was chosen by the network.
        place: Where the arrows begin.
        arrows: The largest weights by size, largest first. Keys of weight 0 have none.
        weights: (T', H', W'), the weights of all keys; their places are ``keys`` of the block.
    """

    chosen: Choice
    point: Point | None
    place: Place
    arrows: tuple[Arrow, ...]
    weights: Array


@dataclass(frozen=True, eq=False)
class ExplainedBlock:
    """A non-local block, and what its queries attend to.

    Attributes:
        name: Layer that it follows.
        pairwise: The function f; the weights of the two Gaussian ones are positive and sum to 1.
        domain: Positions that a position sees.
        places: Where its positions are.
        keys: Where the keys are: each stands for all positions that the block's pool puts together.
        size: (T, H, W), the length of W y, which the block adds at each position.
        effect: (T, H, W), how much the addition raises the logit of the label, to first order.
        ignores_weights: Whether it adds the same everywhere, as a fresh block does; then there are no queries.
        queries: What was asked.
    """

    name: str
    pairwise: str
    domain: str
    places: MapPlaces
    keys: MapPlaces
    size: Array
    effect: Array
    ignores_weights: bool
    queries: tuple[Query, ...]


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much each position of the last map speaks for the label.

    Attributes:
        method: Grad-CAM (Selvaraju et al., ICCV 2017) or HiResCAM (Draelos and Carin, arXiv 2011.08891).
        evidence: (T', H', W'), below zero where a position speaks against it.
        places: Where the positions are.
    """

    method: Method
    evidence: Array
    places: MapPlaces

    @property
    def values(self) -> Array:
        """(T', H', W'), the map as it is drawn: without what speaks against the label."""
        return np.maximum(self.evidence, 0)


@dataclass(frozen=True)
class Curves:
    """How well an order of places explains the score (deletion and insertion of RISE, arXiv 1806.07421).

    Attributes:
        deletion: Mean score while the places are blurred, first ones first; low is good.
        insertion: Mean score while the places return to a blurred clip; high is good.
        deletion_scores: Score after each step, from the whole clip to the blurred one.
        insertion_scores: Score after each step, from the blurred clip to the whole one.
    """

    deletion: float
    insertion: float
    deletion_scores: tuple[float, ...]
    insertion_scores: tuple[float, ...]

    @property
    def difference(self) -> float:
        """Insertion minus deletion: the larger, the better the explanation."""
        return self.insertion - self.deletion


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a network gives a label to a clip of a video.

    Attributes:
        prediction: Labels of the whole video; of the clip alone if it was asked for by its time.
        label: The label that is explained, with its score for the video.
        score: The score of the label for the view that is explained.
        start_seconds: Start of the clip.
        end_seconds: End of its last frame.
        frames: Its frames.
        pictures: (T, height, width, 3) uint8 RGB, upright: the frames as resized for the model, uncropped.
        seen: The part of the picture that the network sees.
        blocks: Non-local blocks, in the order of the network.
        heat_maps: Heat maps of the last stage.
        check: Curves by name of a method, with ``random``, ``centre`` and ``motion``; None if not asked for.
        warnings: Oddities of the file and of the model, in sentences.
    """

    prediction: Prediction
    label: LabelScore
    score: float
    start_seconds: float
    end_seconds: float
    frames: tuple[ClipFrame, ...]
    pictures: NDArray[np.uint8]
    seen: Box
    blocks: tuple[ExplainedBlock, ...]
    heat_maps: tuple[HeatMap, ...]
    check: Mapping[str, Curves] | None
    warnings: tuple[str, ...]

    @property
    def video(self) -> str:
        """Path as the user gave it."""
        return self.prediction.video

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON as plain values: that of the prediction without its clips, and the explanation."""
        record = self.prediction.to_dict()
        del record["clips"], record["warnings"]
        record["label"] = asdict(self.label)
        record["clip"] = {
            "start_seconds": round(self.start_seconds, 6),
            "end_seconds": round(self.end_seconds, 6),
            "score": self.score,
            "seen": asdict(self.seen),
            "frames": [asdict(frame) for frame in self.frames],
        }
        record["blocks"] = [_block_record(block) for block in self.blocks]
        record["heat_maps"] = [_heat_record(heat) for heat in self.heat_maps]
        if self.check is not None:
            record["check"] = {
                name: {"deletion": curves.deletion, "insertion": curves.insertion}
                for name, curves in self.check.items()
            }
        return record | {"warnings": list(self.warnings)}


def _block_record(block: ExplainedBlock) -> dict[str, Any]:
    queries = [
        {
            "chosen": query.chosen,
            "point": None if query.point is None else asdict(query.point),
            "place": asdict(query.place),
            "arrows": [{"weight": arrow.weight, "place": asdict(arrow.place)} for arrow in query.arrows],
        }
        for query in block.queries
    ]
    return {
        "name": block.name,
        "pairwise": block.pairwise,
        "domain": block.domain,
        "ignores_weights": block.ignores_weights,
        "positions": list(block.places.size),
        "keys": list(block.keys.size),
        "queries": queries,
    }


def _heat_record(heat: HeatMap) -> dict[str, Any]:
    largest = int(np.argmax(heat.evidence))
    peak = asdict(heat.places[heat.places.position(largest)])
    return {"method": heat.method, "positions": list(heat.places.size), "peak": peak}
