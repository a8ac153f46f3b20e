"""The architecture in a model card: which network, and what else the house needs to know about it.

Each class here describes one kind of network; ``ARCHITECTURES`` in ``network/build.py`` maps its ``kind`` to the torch
module. What other rooms ask about a network is a property of its class, so that no other file asks for the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Annotated, Literal, cast, get_args

from pydantic import ConfigDict, Field, with_config

from nlvid_cli.card.geometry import Window

card_part = with_config(ConfigDict(extra="forbid"))
"""Class decorator for a part of the card: an unknown key is an error."""

# Cards come out of files from strangers. The bounds are far above any published network and keep hostile cards cheap.
PositiveInt = Annotated[int, Field(gt=0)]
Channels = Annotated[int, Field(gt=0, le=2**16)]
Extent = Annotated[int, Field(gt=0, le=1024)]
"""Length along an axis, or number of layers in a row."""
Padding = Annotated[int, Field(ge=0, le=1024)]
Epsilon = Annotated[float, Field(ge=0, le=1)]
Positions3 = tuple[Extent, Extent, Extent]


@card_part
@dataclass(frozen=True)
class Head:
    """From the last feature map to the scores of a view.

    Attributes:
        scores: How logits become scores: softmax of their mean over positions, mean of their softmax, or mean of their
            sigmoid.
        pool: Kernel (T, H, W) of the average pool. It moves with stride 1, and the classifier answers at each position
            that remains. None averages the whole map, whatever its size.
    """

    scores: Literal["softmax_of_mean", "mean_of_softmax", "mean_of_sigmoid"]
    pool: Positions3 | None = None


@card_part
@dataclass(frozen=True)
class NonLocal:
    """Non-local blocks ("Non-local Neural Networks", section 3). All blocks of a network are of one kind.

    Attributes:
        after: Layers that a block follows, such as ``res4.1`` (the second block of res4) or ``mixed_4c``.
        pairwise: The function f.
        domain: Positions j that a position sees: all of them, those of its frame, or those of its place in all frames.
        pool: Kernel (T, H, W) of the max pool that sub-samples the positions j. None and (1, 1, 1) keep all of them.
        pool_place: Whether that pool comes before the convolutions phi and g, or after them.
        scaled: Whether f has a factor of 1 / sqrt(channels of theta), as in attention.
        norm: Normalisation after the last convolution.
        bias: Whether theta, phi and g have biases.
        out_bias: Whether the last convolution has one.
        inner_channels: Channels of theta, phi and g. None is half of the layer's.
        group_frames: Number of consecutive frames in a group. In ``group_stages``, attention stays within a group.
        group_stages: Stages with groups, such as ``res3``.
    """

    after: tuple[str, ...]
    pairwise: Literal["gaussian", "embedded_gaussian", "dot_product", "concatenation"] = "embedded_gaussian"
    domain: Literal["spacetime", "space", "time"] = "spacetime"
    pool: Positions3 | None = (1, 2, 2)
    pool_place: Literal["before", "after"] = "before"
    scaled: bool = True
    norm: Literal["batch", "affine", "none"] = "batch"
    bias: bool = True
    out_bias: bool = True
    inner_channels: Channels | None = None
    group_frames: PositiveInt | None = None
    group_stages: tuple[str, ...] = ()

    def frames_together(self, after: str) -> int | None:
        """Return the number of consecutive frames that a block attends to; None is all frames of the clip.

        Args:
            after: Layer that the block follows.
        """
        if self.domain == "space":
            return 1
        return self.group_frames if after.partition(".")[0] in self.group_stages else None


MixedLayer = Literal[
    "mixed_3b", "mixed_3c", "mixed_4b", "mixed_4c", "mixed_4d", "mixed_4e", "mixed_4f", "mixed_5b", "mixed_5c"
]
"""Inception blocks, in order."""

INCEPTION_WINDOWS: dict[str, Window] = {
    "conv_1a": Window((7, 7, 7), (2, 2, 2), None),
    "pool_2a": Window((1, 3, 3), (1, 2, 2), None),
    "pool_3a": Window((1, 3, 3), (1, 2, 2), None),
    "pool_4a": Window((3, 3, 3), (2, 2, 2), None),
    "pool_5a": Window((2, 2, 2), (2, 2, 2), None),
}
"""Layers of the Inception I3D that have a stride, in order; all others keep the centres of positions where they are."""

INCEPTION_POOLS: dict[str, str] = {"mixed_4b": "pool_4a", "mixed_5b": "pool_5a"}
"""Pools by the Inception block that follows them."""


@card_part
@dataclass(frozen=True)
class InceptionArchitecture:
    """Inception-v1 I3D (Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, figure 3).

    Attributes:
        head: What follows the last layer.
        norm_eps: Epsilon of batch norm.
        nonlocal_blocks: None for a network without them.
        last: Layer before the head. An earlier one than the published network's makes a small network.
    """

    kind: Literal["inception"]
    head: Head
    norm_eps: Epsilon
    nonlocal_blocks: NonLocal | None = None
    last: MixedLayer = "mixed_5c"

    @property
    def norm(self) -> Literal["batch"]:
        """Normalisation of the backbone."""
        return "batch"

    @property
    def stages(self) -> Mapping[int, tuple[str, ...]]:
        """Layers that a non-local block may follow, by the paper's stage: ``mixed_4b`` to ``mixed_4f`` are res4."""
        return {stage: tuple(name for name in self.ends if name.startswith(f"mixed_{stage}")) for stage in (3, 4, 5)}

    @property
    def time_stride(self) -> int:
        """Number of frames of the clip for one frame of the last feature map, at most."""
        return 8

    def windows_to(self, layer: str | None = None) -> tuple[Window, ...]:
        """Return the layers with strides from the input to the map after ``layer``; None: to the last map."""
        passed = self.ends[: self.ends.index(layer or self.last) + 1]
        later_pools = [pool for name, pool in INCEPTION_POOLS.items() if name not in passed]
        return tuple(window for name, window in INCEPTION_WINDOWS.items() if name not in later_pools)

    @property
    def ends(self) -> tuple[str, ...]:
        """Layers after which the network may end, see :meth:`ending_after`."""
        names: tuple[str, ...] = get_args(MixedLayer)
        return names[: names.index(self.last) + 1]

    def ending_after(self, layer: str) -> InceptionArchitecture:
        """Return the beginning of this network, up to ``layer``, which is one of :attr:`ends`."""
        return replace(self, last=cast("MixedLayer", layer))


@card_part
@dataclass(frozen=True)
class Kernel3d:
    """Kernel, stride and padding (T, H, W) of a convolution or a pool."""

    kernel: Positions3
    stride: Positions3
    padding: tuple[Padding, Padding, Padding] = (0, 0, 0)

    @property
    def window(self) -> Window:
        """The same for :func:`nlvid_cli.card.geometry.map_axes`."""
        return Window(self.kernel, self.stride, self.padding)


@card_part
@dataclass(frozen=True)
class ResNetArchitecture:
    """C2D and I3D ResNets ("Non-local Neural Networks", section 4, table 1) in all published variants.

    Attributes:
        blocks: Number of residual blocks in res2, res3, res4 and res5.
        block: ``bottleneck`` (1x1, 3x3, 1x1) or ``basic`` (3x3, 3x3), as at depth 18.
        width: Channels of the stem. The bottleneck stages have 4, 8, 16 and 32 times as many.
        stem: First convolution.
        pool1: Max pool after the stem.
        pool2: Max pool after res2, along time.
        inflate: For each stage, the indices of the blocks with a kernel of 3 along time. C2D has none.
        inflate_kernel: Convolution of such a block that is inflated: ``3x1x1`` the first one, ``3x3x3`` the 3x3 one.
        last_stride: Spatial stride of res5.
        last_dilation: Spatial dilation of the 3x3 convolutions of res5.
        norm: Batch norm, or a scale and shift per channel.
        norm_eps: Epsilon of batch norm.
        head: What follows res5.
        nonlocal_blocks: None for a network without them.
    """

    kind: Literal["resnet"]
    blocks: tuple[Extent, Extent, Extent, Extent]
    stem: Kernel3d
    pool1: Kernel3d
    head: Head
    block: Literal["bottleneck", "basic"] = "bottleneck"
    width: Channels = 64
    pool2: Kernel3d | None = None
    inflate: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((), (), (), ())
    inflate_kernel: Literal["3x1x1", "3x3x3"] = "3x1x1"
    last_stride: Literal[1, 2] = 2
    last_dilation: Extent = 1
    norm: Literal["batch", "affine"] = "batch"
    norm_eps: Epsilon = 1e-5
    nonlocal_blocks: NonLocal | None = None

    @property
    def stages(self) -> Mapping[int, tuple[str, ...]]:
        """Layers that a non-local block may follow, by the paper's stage: ``res4.0``, ``res4.1``, ... are 4."""
        return {
            stage: tuple(f"res{stage}.{index}" for index in range(count)) for stage, count in enumerate(self.blocks, 2)
        }

    @property
    def time_stride(self) -> int:
        """Number of frames of the clip for one frame of the last feature map."""
        return prod(layer.stride[0] for layer in (self.stem, self.pool1, self.pool2) if layer is not None)

    def windows_to(self, layer: str | None = None) -> tuple[Window, ...]:
        """Return the layers with strides from the input to the map after ``layer``; None: to the last map."""
        stage = int((layer or "res5").partition(".")[0].removeprefix("res"))
        windows = [self.stem.window, self.pool1.window]
        if stage > 2 and self.pool2 is not None:
            windows.append(self.pool2.window)
        for number in range(3, stage + 1):
            stride = self.last_stride if number == 5 else 2
            windows.append(Window((1, 3, 3), (1, stride, stride), (0, 1, 1)))  # the first 3x3 convolution of the stage
        return tuple(windows)

    @property
    def ends(self) -> tuple[str, ...]:
        """Layers after which the network may end: none, it is always whole."""
        return ()

    def ending_after(self, layer: str) -> ResNetArchitecture:
        """Raise ValueError; no ``layer`` is one of :attr:`ends`."""
        raise ValueError(f"a ResNet cannot end after {layer}")


Architecture = Annotated[InceptionArchitecture | ResNetArchitecture, Field(discriminator="kind")]
"""A network of any kind.

All have ``head``, ``norm``, ``norm_eps`` and ``nonlocal_blocks``, the properties ``stages``, ``time_stride`` and
``ends``, and the methods ``windows_to`` and ``ending_after``.
"""
