"""The model card: what a checkpoint fixes, written once.

A card is an entry of ``weights/manifest.toml`` and travels as JSON inside every file that nlvid writes
(:data:`CARD_KEY` in the metadata), so that such a file needs nothing beside it. Unknown keys, missing keys
and wrong types are errors that name the place. No torch here: the ONNX backend reads cards too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from nlvid_cli.checkpoints.architecture import Architecture, PositiveInt, part
from nlvid_cli.errors import ModelFileError

CARD_KEY = "nlvid_card"
"""Key of the card's JSON in the metadata of safetensors and ONNX files."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]


@part
@dataclass(frozen=True)
class BundledSource:
    """A file in the ``weights/`` folder that comes with the package; ``path`` is its name there."""

    kind: Literal["bundled"]
    path: FileName
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@part
@dataclass(frozen=True)
class HubSource:
    """A file in a Hugging Face Hub repository, pinned to a revision (commit, tag or branch)."""

    kind: Literal["hub"]
    repo: str
    path: str
    revision: str = "main"
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@part
@dataclass(frozen=True)
class UrlSource:
    """A file behind a plain https address."""

    kind: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    sha256: Sha256 | None = None
    size_bytes: int | None = None


@part
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


@part
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


@part
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


@part
@dataclass(frozen=True)
class Labels:
    """The classes: a file in ``weights/labels/`` or the names themselves, and what a score means.

    ``single`` label: scores are combined over views by their mean. ``multi`` label: by their maximum.
    """

    kind: Literal["single", "multi"]
    count: PositiveInt
    file: FileName | None = None
    names: tuple[str, ...] | None = None


@part
@dataclass(frozen=True)
class Accuracy:
    """A published or measured figure, in per cent, and how it was measured."""

    data_set: str
    metric: str
    value: float
    protocol: str
    measured_by: str


@part
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
