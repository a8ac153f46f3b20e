"""The part of a model card that says what the network is; see :mod:`nlvid_cli.card.card`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config

part = with_config(ConfigDict(extra="forbid"))
"""Marks a part of the card: unknown keys are errors."""

PositiveInt = Annotated[int, Field(gt=0)]
Channels = Annotated[int, Field(gt=0, le=2**16)]
Extent = Annotated[int, Field(gt=0, le=1024)]
"""Along an axis, or of layers in a row: far more than any network has, so that a card from outside costs little."""
Padding = Annotated[int, Field(ge=0, le=1024)]
Epsilon = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positions3 = tuple[Extent, Extent, Extent]


@part
@dataclass(frozen=True)
class Head:
    """From the last feature map to scores.

    Attributes:
        scores: how logits become scores: softmax of their mean over positions, mean of their softmax, or mean
            of their sigmoid.
        pool: kernel (T, H, W) of the average pool, moved with stride 1; the classifier then answers at each
            position that is left. None: the mean of the whole map, whatever its size.
    """

    scores: Literal["softmax_of_mean", "mean_of_softmax", "mean_of_sigmoid"]
    pool: Positions3 | None = None


@part
@dataclass(frozen=True)
class NonLocal:
    """Non-local blocks ("Non-local Neural Networks", section 3), all of one kind.

    Attributes:
        after: layers that a block follows, such as ``res4.1`` (the second block of res4) or ``mixed_4c``.
        pairwise: the function f.
        domain: the positions j that a position sees: all, those of its frame, or those of its place in all frames.
        pool: kernel (T, H, W) of the max pool that sub-samples the positions j; None or (1, 1, 1): all of them.
        pool_place: whether that pool stands before the convolutions phi and g, or after them.
        scaled: whether f has a factor of 1 / sqrt(channels of theta), as in attention.
        norm: after the last convolution.
        bias: whether theta, phi and g have biases.
        out_bias: whether the last convolution has one.
        inner_channels: of theta, phi and g; None: half of the layer's.
        group_frames: in ``group_stages``, attention stays within groups of so many consecutive frames.
        group_stages: the stages meant, such as ``res3``.
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


LastLayer = Literal[
    "mixed_3b", "mixed_3c", "mixed_4b", "mixed_4c", "mixed_4d", "mixed_4e", "mixed_4f", "mixed_5b", "mixed_5c"
]


@part
@dataclass(frozen=True)
class InceptionArchitecture:
    """Inception-v1 I3D (Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, figure 3).

    Attributes:
        head: what follows the last layer.
        norm_eps: of batch norm.
        nonlocal_blocks: None: no such blocks.
        last: the layer behind which the head stands; an earlier one than the whole network's makes a small network.
    """

    kind: Literal["inception"]
    head: Head
    norm_eps: Epsilon
    nonlocal_blocks: NonLocal | None = None
    last: LastLayer = "mixed_5c"


@part
@dataclass(frozen=True)
class Window:
    """Kernel, stride and padding (T, H, W) of a convolution or a pool."""

    kernel: Positions3
    stride: Positions3
    padding: tuple[Padding, Padding, Padding] = (0, 0, 0)


@part
@dataclass(frozen=True)
class ResNetArchitecture:
    """C2D and I3D ResNets ("Non-local Neural Networks", section 4, table 1) in all published variants.

    Attributes:
        blocks: residual blocks of res2, res3, res4, res5.
        block: ``bottleneck`` (1x1, 3x3, 1x1) or ``basic`` (3x3, 3x3), as in depth 18.
        width: channels of the stem; a bottleneck stage has 4, 8, 16, 32 times as many.
        stem: the first convolution.
        pool1: max pool after the stem.
        pool2: max pool after res2, along time.
        inflate: for each stage, the places of the blocks with a kernel of 3 along time; C2D has none.
        inflate_kernel: which convolution of such a block: ``3x1x1`` the first one, ``3x3x3`` the 3x3 one.
        last_stride: spatial stride of res5.
        last_dilation: spatial dilation of the 3x3 convolutions of res5.
        norm: batch norm, or a scale and shift per channel.
        norm_eps: of batch norm.
        head: what follows res5.
        nonlocal_blocks: None: no such blocks.
    """

    kind: Literal["resnet"]
    blocks: tuple[Extent, Extent, Extent, Extent]
    stem: Window
    pool1: Window
    head: Head
    block: Literal["bottleneck", "basic"] = "bottleneck"
    width: Channels = 64
    pool2: Window | None = None
    inflate: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((), (), (), ())
    inflate_kernel: Literal["3x1x1", "3x3x3"] = "3x1x1"
    last_stride: Literal[1, 2] = 2
    last_dilation: Extent = 1
    norm: Literal["batch", "affine"] = "batch"
    norm_eps: Epsilon = 1e-5
    nonlocal_blocks: NonLocal | None = None


Architecture = Annotated[InceptionArchitecture | ResNetArchitecture, Field(discriminator="kind")]
