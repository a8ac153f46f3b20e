"""The published ResNets once more, as plain sums: a yardstick that shares no code with nlvid's networks and cards.

What distinguishes the families is written down here from their own programs, model by model. Only the tensors have
nlvid's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Triple = tuple[int, int, int]
Places = dict[int, tuple[int, ...]]

FAIR_POOL = ((1, 3, 3), (1, 2, 2), (0, 0, 0))
FAIR_ORG_POOL = ((2, 3, 3), (2, 2, 2), (0, 0, 0))
PADDED_POOL = ((1, 3, 3), (1, 2, 2), (0, 1, 1))
STRIDED_POOL = ((1, 3, 3), (2, 2, 2), (0, 1, 1))
"""Kernel, stride and padding (T, H, W) of the pool after the stem."""

I3D_50 = ((0, 1, 2), (0, 2), (0, 2, 4), (1,))
I3D_101 = ((0, 1, 2), (0, 2), tuple(range(0, 23, 2)), (1,))
ALL_50 = (tuple(range(3)), tuple(range(4)), tuple(range(6)), tuple(range(3)))
C2D = ((), (), (), ())
"""Blocks of res2 to res5 whose first convolution sees three frames."""

FIVE = {3: (1, 3), 4: (1, 3, 5)}
FIVE_101 = {3: (1, 3), 4: (6, 13, 20)}
TEN = {3: (0, 1, 2, 3), 4: (0, 1, 2, 3, 4, 5)}
TEN_101 = {3: (0, 1, 2, 3), 4: (2, 6, 10, 14, 18, 22)}
"""Blocks of each stage that a non-local block follows."""


@dataclass(frozen=True)
class Attention:
    """Non-local blocks: the function, where the pool of 1 x 2 x 2 stands, whether the sum is scaled and normed."""

    function: Literal["embedded", "gaussian", "dot"] = "embedded"
    pool: Literal["before", "after"] | None = "before"
    scaled: bool = True
    normed: bool = True
    frames_of_a_group_in_res3: int | None = None


@dataclass(frozen=True)
class Graph:
    """A network; ``window`` is the frames of the 7 x 7 average pool of the head, None for the whole map."""

    stem: tuple[int, int]
    pool1: tuple[Triple, Triple, Triple]
    inflated: tuple[tuple[int, ...], ...]
    window: int | None
    scores: Literal["mean of softmax", "softmax of mean", "mean of sigmoid"]
    after: Places | None = None
    attention: Attention = Attention()
    pool2: bool = True
    res5: tuple[int, int] = (2, 1)
    batch_norm: bool = True
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)


FAIR_8X8 = Graph((5, 1), FAIR_POOL, I3D_50, 4, "mean of softmax")
FAIR_32X2 = Graph((5, 2), FAIR_ORG_POOL, I3D_50, 4, "mean of softmax")
IN_GROUPS = Attention(normed=False, frames_of_a_group_in_res3=4)
FAIR_32X4 = replace(FAIR_8X8, window=16, batch_norm=False, attention=IN_GROUPS)
FAIR_128X1 = replace(FAIR_32X2, window=16, batch_norm=False, attention=IN_GROUPS)
PYSLOWFAST = Graph((5, 1), PADDED_POOL, I3D_50, 4, "mean of softmax")
MMACTION2 = Graph(
    (5, 2), STRIDED_POOL, I3D_50, None, "softmax of mean", attention=Attention(pool="after", scaled=False)
)
MMACTION2_C2D = Graph((1, 1), FAIR_POOL, C2D, None, "softmax of mean")
TSN = Graph((1, 1), PADDED_POOL, C2D, None, "softmax of mean", pool2=False)
GLUONCV = Graph((5, 2), STRIDED_POOL, I3D_50, None, "softmax of mean", attention=Attention(pool=None))
GLUONCV_101 = replace(GLUONCV, inflated=I3D_101, blocks=(3, 4, 23, 3))
LFB = Graph(
    (5, 1),
    PADDED_POOL,
    I3D_50,
    None,
    "mean of sigmoid",
    FIVE,
    Attention(frames_of_a_group_in_res3=4),
    res5=(1, 2),
    batch_norm=False,
)


def _flat(graph: Graph) -> Graph:
    """The C2D of an I3D."""
    return replace(graph, stem=(1, graph.stem[1]), inflated=C2D)


def _five(graph: Graph) -> Graph:
    return replace(graph, after=FIVE)


GRAPHS: dict[str, Graph] = {
    "c2d-r50-8x8.fair-k400": _flat(FAIR_8X8),
    "nl-c2d-r50-8x8.fair-k400": _five(_flat(FAIR_8X8)),
    "i3d-r50-8x8.fair-k400": FAIR_8X8,
    "nl-i3d-r50-8x8.fair-k400": _five(FAIR_8X8),
    "c2d-r50-32x2.fair-k400": _flat(FAIR_32X2),
    "nl-c2d-r50-32x2.fair-k400": _five(_flat(FAIR_32X2)),
    "i3d-r50-32x2.fair-k400": FAIR_32X2,
    "nl-i3d-r50-32x2.fair-k400": _five(FAIR_32X2),
    "i3d-r50-32x4.fair-k400": FAIR_32X4,
    "nl-i3d-r50-32x4.fair-k400": _five(FAIR_32X4),
    "i3d-r50-128x1.fair-k400": FAIR_128X1,
    "nl-i3d-r50-128x1.fair-k400": _five(FAIR_128X1),
    "i3d-r50-32x2.pytorch-resnet3d-k400": replace(FAIR_32X2, window=None, scores="softmax of mean"),
    "nl-i3d-r50-32x2.pytorch-resnet3d-k400": _five(replace(FAIR_32X2, window=None, scores="softmax of mean")),
    "i3d-r50-8x8.pyslowfast-k400": PYSLOWFAST,
    "nl-i3d-r50-8x8.pyslowfast-k400": _five(PYSLOWFAST),
    "c2d-nopool-r50-8x8.pyslowfast-k400": replace(_flat(PYSLOWFAST), pool2=False, window=8),
    "c2d-r50-8x8.pyslowfast-k400": _flat(PYSLOWFAST),
    "i3d-r50-8x8.pytorchvideo-k400": replace(PYSLOWFAST, scores="softmax of mean"),
    "c2d-r50-8x8.pytorchvideo-k400": replace(_flat(PYSLOWFAST), scores="softmax of mean"),
    "nl-i3d-r50-32x2.mmaction2-k400": _five(MMACTION2),
    "nl-i3d-r50-32x2-gaussian.mmaction2-k400": _five(
        replace(MMACTION2, attention=Attention("gaussian", "after", scaled=False))
    ),
    "nl-i3d-r50-32x2-dot.mmaction2-k400": _five(replace(MMACTION2, attention=Attention("dot", "after", scaled=False))),
    "i3d-r50-32x2.mmaction2-k400": MMACTION2,
    "i3d-r50-32x2-dense.mmaction2-k400": MMACTION2,
    "i3d-r50-32x2-heavy.mmaction2-k400": replace(MMACTION2, stem=(5, 1), pool1=PADDED_POOL, inflated=ALL_50),
    "c2d-r50-8x8.mmaction2-k400": MMACTION2_C2D,
    "c2d-r50-16x4.mmaction2-k400": MMACTION2_C2D,
    "c2d-nopool-r50-8x8.mmaction2-k400": TSN,
    "c2d-nopool-r101-8x8.mmaction2-k400": replace(TSN, blocks=(3, 4, 23, 3)),
    "i3d-r50-32x2.gluoncv-k400": GLUONCV,
    "nl-i3d-r50-32x2.gluoncv-k400": _five(GLUONCV),
    "nl10-i3d-r50-32x2.gluoncv-k400": replace(GLUONCV, after=TEN),
    "i3d-r101-32x2.gluoncv-k400": GLUONCV_101,
    "nl-i3d-r101-32x2.gluoncv-k400": replace(GLUONCV_101, after=FIVE_101),
    "nl10-i3d-r101-32x2.gluoncv-k400": replace(GLUONCV_101, after=TEN_101),
    "nl-i3d-r50-32x4.lfb-charades": LFB,
    "nl-i3d-r101-32x4.lfb-charades": replace(LFB, blocks=(3, 4, 23, 3), inflated=I3D_101, after=FIVE_101, res5=(1, 1)),
}
"""By the name in the manifest."""


def clip_size(graph: Graph) -> tuple[int, int]:
    """Height and width of a small clip on which the graphs differ: oblong, and with several answers of the head."""
    return (224, 256) if graph.window else (96, 112)


class PlainResNet:
    """A network of these tensors; every one of them must be used."""

    def __init__(self, graph: Graph, tensors: Mapping[str, np.ndarray]) -> None:
        self._graph = graph
        self._tensors = {name: torch.from_numpy(array) for name, array in tensors.items()}
        self._unused = set(self._tensors)

    @torch.inference_mode()
    def outputs(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised clips (N, 3, T, H, W) to logits and scores, both (N, classes)."""
        graph = self._graph
        kernel, stride = graph.stem
        x = self._unit(torch.from_numpy(clips), "stem", (kernel, 7, 7), (stride, 2, 2), (kernel // 2, 3, 3)).relu()
        x = functional.max_pool3d(x, *graph.pool1)
        for stage, count in enumerate(graph.blocks, start=2):
            for place in range(count):
                x = self._block(x, stage, place)
                if place in (graph.after or {}).get(stage, ()):
                    x = self._grouped(x, f"res{stage}.{place}.nonlocal_block", stage)
            if stage == 2 and graph.pool2:
                x = functional.max_pool3d(x, (2, 1, 1))
        x = functional.avg_pool3d(x, (graph.window, 7, 7), 1) if graph.window else x.mean((2, 3, 4), keepdim=True)
        answers = functional.conv3d(
            x, self._take("head.classifier.weight").reshape(-1, x.shape[1], 1, 1, 1), self._take("head.classifier.bias")
        ).flatten(2)  # (N, classes, positions)
        assert not self._unused, sorted(self._unused)
        scores = {
            "mean of softmax": lambda: answers.softmax(1).mean(2),
            "softmax of mean": lambda: answers.mean(2).softmax(1),
            "mean of sigmoid": lambda: answers.sigmoid().mean(2),
        }[graph.scores]()
        return answers.mean(2).numpy(), scores.numpy()

    def _block(self, x: Tensor, stage: int, place: int) -> Tensor:
        name, graph = f"res{stage}.{place}", self._graph
        sees_frames = place in graph.inflated[stage - 2]
        step = {2: 1, 5: graph.res5[0]}.get(stage, 2) if place == 0 else 1
        apart = graph.res5[1] if stage == 5 else 1
        y = self._unit(x, f"{name}.conv1", (3 if sees_frames else 1, 1, 1), padding=(int(sees_frames), 0, 0)).relu()
        y = self._unit(
            y, f"{name}.conv2", (1, 3, 3), (1, step, step), (0, apart, apart), dilation=(1, apart, apart)
        ).relu()
        y = self._unit(y, f"{name}.conv3", (1, 1, 1))
        if place == 0:
            x = self._unit(x, f"{name}.shortcut", (1, 1, 1), (1, step, step))
        return (x + y).relu()

    def _grouped(self, x: Tensor, name: str, stage: int) -> Tensor:
        frames = self._graph.attention.frames_of_a_group_in_res3 if stage == 3 else None
        return torch.cat([self._nonlocal(part, name) for part in x.split(frames or x.shape[2], dim=2)], dim=2)

    def _nonlocal(self, x: Tensor, name: str) -> Tensor:
        attention = self._graph.attention

        def embed(part: str, source: Tensor) -> Tensor:
            return functional.conv3d(source, self._take(f"{name}.{part}.weight"), self._take(f"{name}.{part}.bias"))

        def after(source: Tensor) -> Tensor:
            return functional.max_pool3d(source, (1, 2, 2)) if attention.pool == "after" else source

        source = functional.max_pool3d(x, (1, 2, 2)) if attention.pool == "before" else x
        if attention.function == "gaussian":
            theta, phi = x, after(x)
        else:
            theta, phi = embed("theta", x), after(embed("phi", source))
        g = after(embed("g", source))
        pairs = theta.flatten(2).transpose(1, 2) @ phi.flatten(2)  # (N, positions i, positions j)
        if attention.scaled:
            pairs = pairs / g.shape[1] ** 0.5
        weights = pairs / pairs.shape[2] if attention.function == "dot" else pairs.softmax(2)
        y = (g.flatten(2) @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        y = functional.conv3d(
            y, self._take(f"{name}.out.conv.weight"), self._tensors.get(self._use(f"{name}.out.conv.bias"))
        )
        return x + (self._norm(y, f"{name}.out.norm") if attention.normed else y)

    def _unit(
        self,
        x: Tensor,
        name: str,
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        padding: Triple = (0, 0, 0),
        dilation: Triple = (1, 1, 1),
    ) -> Tensor:
        weight = self._take(f"{name}.conv.weight")
        assert tuple(weight.shape[2:]) == kernel, name
        return self._norm(functional.conv3d(x, weight, None, stride, padding, dilation), f"{name}.norm")

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._take(f"{name}.weight"), self._take(f"{name}.bias")
        if not self._graph.batch_norm:
            return x * weight.view(-1, 1, 1, 1) + bias.view(-1, 1, 1, 1)
        mean, var = self._take(f"{name}.running_mean"), self._take(f"{name}.running_var")
        return functional.batch_norm(x, mean, var, weight, bias, training=False, eps=1e-5)

    def _take(self, name: str) -> Tensor:
        return self._tensors[self._use(name)]

    def _use(self, name: str) -> str:
        self._unused.discard(name)
        return name
