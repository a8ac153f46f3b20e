"""The model card: what a checkpoint fixes, written once.

A card is an entry of ``weights/manifest.toml`` and travels as JSON inside every file that nlvid writes
(:data:`CARD_KEY` in the metadata), so that such a file needs nothing beside it. Unknown keys, missing keys
and wrong types are errors that name the place. No torch here: the ONNX backend reads cards too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from nlvid_cli.card.architecture import Architecture, PositiveInt, card_part
from nlvid_cli.errors import ModelFileError

CARD_KEY = "nlvid_card"
"""Key of the card's JSON in the metadata of safetensors and ONNX files."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Sha256Prefix = Annotated[str, Field(pattern=r"^[0-9a-f]{8,63}$")]
Sha1 = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Without control characters: cards come out of files from outside, and their texts go to terminals."""
MAX_VIEW_VALUES = 2**28
"""Numbers in one view, or in one run of a file that fixes the number of views: ten times those of the largest published
network."""

MAX_CLASSES = 2**20

MAX_STEP = 2**20
"""Frames from one frame of a clip to the next: ten hours."""

MAX_CLIPS = 1000
"""Clips of a video by a card; the published protocols take 10 at most."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]


@card_part
@dataclass(frozen=True)
class BundledSource:
    """A file in the ``weights/`` folder that comes with the package; ``path`` is its name there."""

    kind: Literal["bundled"]
    path: FileName
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@card_part
@dataclass(frozen=True)
class HubSource:
    """A file in a Hugging Face Hub repository, pinned to a revision (commit, tag or branch)."""

    kind: Literal["hub"]
    repo: str
    path: str
    revision: str = "main"
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@card_part
@dataclass(frozen=True)
class UrlSource:
    """A file behind a plain https address.

    Of ``sha256``, its first digits (``sha256_prefix``, as OpenMMLab puts into file names) and ``sha1`` (as GluonCV
    publishes), those that are given are checked.
    """

    kind: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    sha256: Sha256 | None = None
    sha256_prefix: Sha256Prefix | None = None
    sha1: Sha1 | None = None
    size_bytes: int | None = None


@card_part
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


@card_part
@dataclass(frozen=True)
class Sampling:
    """Which frames are looked at.

    Attributes:
        frames: frames of a clip.
        step: distance between them, in frames.
        clips: clips of a video.
        clip_starts: rule for where clips begin, a name of ``video.clip_rules.CLIP_STARTS``.
        short_video: rule for frames beyond the end of the video, a name of ``video.sample.SHORT_VIDEO``.
        frame_rate: frames per second that ``step`` counts in; None means the video's own frames.
    """

    frames: PositiveInt
    step: Annotated[int, Field(gt=0, le=MAX_STEP)]
    clips: PositiveInt
    clip_starts: Literal[
        "ends", "ends_truncated", "ends_strided", "wrapped", "scaled_windows", "timed_windows", "centred_segments"
    ]
    short_video: Literal["loop", "hold"]
    frame_rate: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None


@card_part
@dataclass(frozen=True)
class Preprocess:
    """From upright uint8 RGB frames to network input.

    Attributes:
        short_side: pixels of the shorter side after resizing.
        crop: pixels of the square crop.
        crops: 1 (centre) or 3 (both ends and centre of the longer side).
        resize: how pixels are interpolated, a name of ``video.picture.RESIZE``.
        mean: subtracted from each of R, G, B, in units of [0, 255].
        std: divided by, in the same units.
        size: what the size after resizing is, a name of ``video.picture.SIZES``.
        crop_positions: where crops begin, and in which order they come, a name of ``video.preprocess.CROPS``.
    """

    short_side: PositiveInt
    crop: PositiveInt
    crops: Literal[1, 3]
    resize: Literal["swscale_bilinear", "opencv_bilinear", "float_bilinear"]
    mean: tuple[Finite, Finite, Finite]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    size: Literal["half_up", "floor", "float32_floor", "stretched_340x256"] = "half_up"
    crop_positions: Literal["centre_down", "centre_up", "even", "even_centre_last"] = "centre_down"


@card_part
@dataclass(frozen=True)
class Labels:
    """The classes: a file in ``weights/labels/`` or the names themselves, and what a score means.

    Attributes:
        kind: whether a video has one label (its scores add up to 1) or any number of them.
        count: of classes.
        file: name of a file in ``weights/labels/``.
        names: the class names themselves, where there is no such file.
        combine: how views make the video's scores, a name of ``combine.COMBINE``; None: the mean of their scores
            for a single label, the maximum for several.
    """

    kind: Literal["single", "multi"]
    count: Annotated[int, Field(gt=0, le=MAX_CLASSES)]
    file: FileName | None = None
    names: tuple[Text, ...] | None = None
    combine: Literal["mean", "maximum", "softmax_of_mean_logits"] | None = None

    @property
    def combination(self) -> str:
        """Name of the rule by which views make the video's scores."""
        return self.combine or {"single": "mean", "multi": "maximum"}[self.kind]


@card_part
@dataclass(frozen=True)
class Accuracy:
    """A published or measured figure, in per cent, and how it was measured."""

    data_set: Text
    metric: Text
    value: float
    protocol: Text
    measured_by: Text


@card_part
@dataclass(frozen=True)
class Card:
    """Everything about one checkpoint; see the module's docstring.

    ``format`` is the form of the published file, a name of ``models.formats.FORMATS`` or ``safetensors``.
    ``commercial_use`` and ``redistribution`` say what ``licence`` allows to do with the weights. ``temperature``
    calibrates the scores, see :func:`nlvid_cli.recognize.combine.temper`; ``nlvid evaluate`` finds it.
    """

    name: FileName
    summary: Text
    paper: Text
    licence: Text
    origin: Text
    format: Text
    sources: tuple[Source, ...]
    architecture: Architecture
    sampling: Sampling
    preprocess: Preprocess
    labels: Labels
    aliases: tuple[Text, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    commercial_use: bool = True
    redistribution: bool = True
    temperature: PositiveFloat = 1.0

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
        ModelFileError: naming every field that is missing, unknown or wrong, or more than nlvid feeds to a network.
    """
    return _checked(lambda: _adapter().validate_python(data), where)


def card_from_json(text: str, where: str) -> Card:
    """Like :func:`card_from_dict`, from the JSON of :func:`card_to_json`."""
    return _checked(lambda: _adapter().validate_json(text), where)


def card_to_json(card: Card) -> str:
    """JSON of the card, the value of :data:`CARD_KEY`."""
    return _adapter().dump_json(card).decode()


def _checked(read: Callable[[], Card], where: str) -> Card:
    try:
        card = read()
    except ValidationError as error:
        raise ModelFileError(f"{where}: the model card is not valid: {_faults(error)}") from None
    frames, clips, side = (
        card.sampling.frames,
        card.sampling.clips,
        max(card.preprocess.crop, card.preprocess.short_side),
    )
    if frames * side * side * 3 > MAX_VIEW_VALUES or clips > MAX_CLIPS:
        raise ModelFileError(
            f"{where}: the model card is not valid: {clips} clips of {frames} frames of {side} x {side} pixels are "
            "more than nlvid feeds to a network"
        )
    return card


def _faults(error: ValidationError) -> str:
    faults = "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'card'}: {fault['msg'].lower()}" for fault in error.errors()
    )
    return "".join(character if character.isprintable() else "\ufffd" for character in faults)  # it repeats keys
