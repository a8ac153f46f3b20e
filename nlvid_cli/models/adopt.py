"""The card and the ready form of a file that the user names: its own card, or that of a model given with ``--as``."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nlvid_cli.card.card import Card, card_to_json
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.errors import ModelFileError, UsageError
from nlvid_cli.models.model_file import NoCard, read_card
from nlvid_cli.models.naming import file_name_of
from nlvid_cli.models.onnx_file.contract import card_in, fit_card
from nlvid_cli.models.onnx_file.read import is_onnx_name, read_onnx
from nlvid_cli.models.other_files import require_model_file
from nlvid_cli.models.store.cache import model_name_of, published_checksums, safe_name, slot_of_file
from nlvid_cli.models.store.checksums import PublishedChecksums, digests_of
from nlvid_cli.system.hashes import sha256_of

if TYPE_CHECKING:
    from nlvid_cli.models.formats.common import Tensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedFile:
    """A file on this machine that the user named, or that came from where the user said. Anybody may have made it.

    Attributes:
        shown: What messages call it: a path, or an address without secrets.
        name: Its file name, at its origin.
        path: Path to it.
    """

    shown: str
    name: str
    path: Path

    @property
    def is_onnx(self) -> bool:
        """Whether it is an ONNX file, by its name."""
        return is_onnx_name(self.name)


def local_file(path: str) -> NamedFile:
    """Return the file at a path.

    Raises:
        ModelFileError: It is missing, a folder, or not readable.
    """
    if Path(path).is_dir():
        raise ModelFileError(f"{path}: a folder, not a model file; name the file in it")
    try:
        Path(path).open("rb").close()
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such model file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: the model file cannot be read ({error.strerror})") from None
    return NamedFile(path, Path(path).name, Path(path))


def ready_model(file: NamedFile, as_card: Card | None, any_head: bool = False) -> tuple[Card, Path]:
    """Return the card of a file, and the path of its ready form: itself, or its conversion in the cache.

    Args:
        file: The file.
        as_card: The model whose network it has, if it has no card.
        any_head: Whether its head may be another one than that model's, and is then left out.

    Raises:
        UsageError: The file has no card and ``as_card`` is None, or it has one and ``as_card`` is given.
        ModelError: The file is damaged, unsafe, or does not fit the network of ``as_card``.
    """
    card = own_card(file, as_card)
    if card is not None:
        return card, file.path
    as_card = require_as(file, as_card)
    if file.is_onnx:
        return _adopt_onnx(file, as_card), file.path
    slot = slot_of_file(file.name, sha256_of(file.path), *identity_as(as_card, any_head))
    if not slot.ready.is_file():
        from nlvid_cli.models.store.lock import hold

        with hold(slot):
            if not slot.ready.is_file():  # another process may have converted it meanwhile
                convert_as(as_card, file, slot.ready, any_head)
    return read_card(slot.ready), slot.ready


def identity_as(as_card: Card, any_head: bool) -> tuple[str, ...]:
    """Return what tells the conversions of one file apart, for the key of their slots in the cache."""
    return (card_to_json(as_card), *(("any head",) if any_head else ()))


def own_card(file: NamedFile, as_card: Card | None) -> Card | None:
    """Return the card in a file that nlvid wrote, or None for a file of another program.

    Raises:
        UsageError: The file has a card, and ``as_card`` is given too.
        ModelFileError: The file is damaged, or no model at all.
    """
    require_model_file(file.path, file.shown)
    card = card_in(read_onnx(file.path), file.shown) if file.is_onnx else _card_of_safetensors(file)
    if as_card is not None and card is not None:
        raise UsageError(f"{file.shown}: the file has a model card of its own ({card.name}); leave --as out")
    return card


def convert_as(as_card: Card, file: NamedFile, ready: Path, any_head: bool) -> None:
    """Convert another program's checkpoint of the network of ``as_card`` to nlvid's own form, at ``ready``."""
    from nlvid_cli.models.convert import convert

    convert(file.path, adopt(as_card, file.name, file.path), ready, any_head=any_head)


def adopt(as_card: Card, file_name: str, path: Path) -> Card:
    """Make the card of another program's file that has the network of ``as_card``.

    A file with a published checksum of ``as_card`` is that very model, and gets its card unchanged. The accuracy of any
    other file is unknown. It keeps the licence, because its weights may come from that model.

    Args:
        as_card: The model whose network, labels and protocol the file has.
        file_name: Name of the file.
        path: Path to it.
    """
    for source in as_card.sources:
        # what is published of an index source is the checksum of its archive, and this is the file in it
        published = PublishedChecksums(source.member_sha256) if source.kind == "index" else published_checksums(source)
        if published and published.fit(digests_of(path, published)):
            return as_card
    return replace(
        as_card,
        name=model_name_of(file_name),
        aliases=(),
        summary=f"{safe_name(file_name)}, read as {as_card.name}",
        origin=f"a file with the sha256 {sha256_of(path)}, its network, labels and protocol given as {as_card.name}",
        sources=(),
        accuracy=(),
    )


def require_as(file: NamedFile, as_card: Card | None) -> Card:
    """Return ``as_card``, or raise a UsageError that says what the file is and which models have its network."""
    if as_card is not None:
        return as_card
    if file.is_onnx:
        raise UsageError(
            f"{file.shown}: an ONNX file without a model card; say which model's network it has with --as NAME (for "
            "example --as nl-i3d-r50-32x2.gluoncv-k400; `nlvid models list` shows all)"
        )
    from nlvid_cli.models.formats import read_foreign

    family, tensors = read_foreign(file.path, any_head=True)
    raise UsageError(
        f"{file.shown}: a checkpoint without a model card (format: {family}); say which model's network it has with "
        f"--as NAME ({_likely_models(file.name, family, tensors)}; `nlvid models list` shows all)"
    )


def _adopt_onnx(file: NamedFile, as_card: Card) -> Card:
    """Make the card of another program's ONNX file, with the frames and the crop that the file fixes."""
    card = fit_card(adopt(as_card, file.name, file.path), file.path)
    frames, crop = as_card.sampling.frames, as_card.preprocess.crop
    own_frames, own_crop = card.sampling.frames, card.preprocess.crop
    if (own_frames, own_crop) != (frames, crop):
        log.info(
            "%s takes clips of %d frames of %d x %d; it gets these instead of %d frames of %d x %d as %s",
            file.shown, own_frames, own_crop, own_crop, frames, crop, crop, as_card.name,
        )  # fmt: skip
    return card


def _card_of_safetensors(file: NamedFile) -> Card | None:
    if not file.name.endswith(".safetensors") and not _looks_like_safetensors(file.path):
        return None
    try:
        return read_card(file.path)
    except NoCard:
        return None


def _looks_like_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # eight bytes for the length of the header, then the header, which is JSON


def _likely_models(file_name: str, family: str, tensors: Tensors) -> str:
    """Say which models have such a network, those first that publish a file of this name."""
    from nlvid_cli.models.convert import fitting_models

    published = {card.name for card in load_manifest().models if file_name in _published_names(card)}
    names = sorted(fitting_models(tensors, family), key=lambda name: name not in published)
    if not names:
        return "no model that nlvid knows has such tensors"
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"its tensors fit {names[0]}{others}"


def _published_names(card: Card) -> list[str]:
    return [file_name_of(source.url) for source in card.sources if source.kind == "url"]
