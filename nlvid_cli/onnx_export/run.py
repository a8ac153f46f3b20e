"""``export_onnx``: from a model to a checked ONNX file."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nlvid_cli.card.card import Card
from nlvid_cli.errors import NlvidError, OutputError, ReferenceMismatch, UsageError, VideoError
from nlvid_cli.models.find import find_model
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.models.onnx_file.read import is_onnx_name
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.cache import slot_of_manifest_file
from nlvid_cli.video.remote import RemotePath, VideoPath, video_path

if TYPE_CHECKING:
    import onnx

    from nlvid_cli.backends import Array
    from nlvid_cli.backends.verification import Comparison, Reference
    from nlvid_cli.onnx_export.check import Speed
    from nlvid_cli.onnx_export.graph import Form

log = logging.getLogger(__name__)

Path_ = str | PathLike[str]

CALIBRATION_VIEWS = 32
"""Views at most that int8 is calibrated on: more than some dozens hardly move the largest values any more."""

PACKAGES = ("onnx", "onnxscript", "torch")
"""What an export needs beside ONNX Runtime."""


@dataclass(frozen=True)
class Exported:
    """A new ONNX file, and what was found out about it.

    Attributes:
        path: of the file.
        card: that is in it.
        precision: ``fp32``, ``fp16`` or ``int8``.
        size_bytes: of the file.
        comparisons: with the network as it is written, at each size and batch.
        speed: of one view here, by torch and by the file; None where it could not be measured.
    """

    path: Path
    card: Card
    precision: str
    size_bytes: int
    comparisons: tuple[Comparison, ...]
    speed: Speed | None


def export_onnx(
    model: Path_,
    output: Path_ | None = None,
    *,
    as_name: str | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    static: bool = False,
    with_preprocess: bool = False,
    calibrate: Sequence[Path_ | RemotePath] = (),
    video: Path_ | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Exported:
    """Write a model as an ONNX file that needs nothing beside it, and compare it with torch.

    The file is there only if the comparison was good, at two sizes of the input (one with ``static``) and batches of 1
    and 2, within 1e-4 of the largest logit in fp32 (0.1 in fp16, 0.25 in int8).

    Args:
        model: a name, a file or an address, as for ``load``.
        output: the new file; one that is there is replaced. None: the place in the cache where ``--backend`` looks for
            it, for models that have a name.
        as_name: for a file without a model card: the model whose network it has.
        precision: what the file computes in; the head and the sums of the non-local blocks are in fp32 always.
        static: fix frames, height and width to those of the card.
        with_preprocess: take uint8 pixels, (N, T, H, W, 3), and normalise in the graph.
        calibrate: videos for int8.
        video: a video to compare on, beside made clips; None: the first of ``calibrate``, if there is one.
        device: where the file is compared and timed.
        progress: is told of downloads.

    Raises:
        UsageError: what was asked for does not go together, or a package is missing.
        ModelError: the model cannot be had; ReferenceMismatch: the file does not compute what it should.
        VideoError: the video cannot be used, or none of those to calibrate on.
        OutputError: the file cannot be written.
    """
    _require_packages()
    _require_sense(precision, calibrate, output, static or with_preprocess)
    from nlvid_cli.onnx_export.graph import Form

    card, weights = find_model(model, as_name, progress)
    target = Path(output) if output is not None else _place_in_cache(card, weights)
    form = Form(precision, static, with_preprocess)
    calibration = [video_path(path) for path in calibrate]
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        if output is None:
            target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()  # whether it can be written shows now, and not after minutes
        tensors = open_checkpoint(weights)[1]
        shown = _first_usable(card, calibration if video is None else [video_path(video)])
        result = _export(card, tensors, form, calibration, shown, temporary, device)
        size_bytes = temporary.stat().st_size
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return replace(result, path=target, size_bytes=size_bytes)


def _export(
    card: Card,
    tensors: dict[str, Array],
    form: Form,
    calibration: list[VideoPath],
    video: VideoPath | None,
    file: Path,
    device: str,
) -> Exported:
    """Write the file, and check it."""
    from nlvid_cli.backends.onnx_backend import OnnxBackend
    from nlvid_cli.onnx_export.check import (
        SEED,
        compare_all,
        measure_speed,
        other_size,
        reference_views,
        with_reference,
    )
    from nlvid_cli.onnx_export.graph import build_graph, write_metadata

    log.info("exporting %s in %s", card.name, form.precision)
    graph = build_graph(card, tensors, form)
    if form.precision == "int8":
        graph = _quantised(graph, card, form, calibration, file)
    references = [with_reference(card, tensors, reference_views(card, video, form.with_preprocess))]
    write_metadata(graph, card, form, _first_view(references[0]), SEED)
    _write(graph, file)
    log.info("comparing it with torch")
    backend = OnnxBackend(card, file, device, "auto")
    if backend.takes_any_size:
        other = other_size(card)
        references.append(with_reference(other, tensors, reference_views(other, video, form.with_preprocess)))
    rows = tuple(compare_all(backend, references))
    _require_passed(card, rows)
    try:
        speed = measure_speed(card, tensors, backend, device)
    except (NlvidError, RuntimeError, MemoryError) as error:  # the file is good all the same
        log.warning("it could not be timed here: %s", error)
        speed = None
    return Exported(file, card, form.precision, 0, rows, speed)


def _quantised(
    graph: onnx.ModelProto, card: Card, form: Form, calibration: list[VideoPath], file: Path
) -> onnx.ModelProto:
    from nlvid_cli.backends.onnx_backend import as_input
    from nlvid_cli.onnx_export.quantise import quantise

    kind = "uint8" if form.with_preprocess else "float32"
    views = (as_input(view, kind, card) for view in _calibration_views(card, calibration))
    return quantise(graph, views, file)


def _calibration_views(card: Card, videos: list[VideoPath]) -> Iterator[np.ndarray[Any, Any]]:
    """Views of evenly chosen videos, (1, 3, T, crop, crop) each; a video that cannot be used is told of."""
    from nlvid_cli.onnx_export.check import clips_of

    chosen = [
        videos[i] for i in np.linspace(0, len(videos) - 1, min(len(videos), CALIBRATION_VIEWS)).round().astype(int)
    ]
    clips_each = max(1, CALIBRATION_VIEWS // len(chosen))
    used = 0
    for path in chosen:
        try:
            clips = clips_of(card, path, min(clips_each, card.sampling.clips))
        except VideoError as error:
            log.warning("not calibrated on: %s", error)
            continue
        used += len(clips)
        yield from (clip[None] for clip in clips)
    log.info("calibrated on %d views of %d videos", used, len(chosen))


def _first_usable(card: Card, videos: list[VideoPath]) -> VideoPath | None:
    """The first of some videos that can be read; None where none was given.

    Raises:
        VideoError: some were given, and none can be used; the error is that of the first.
    """
    from nlvid_cli.onnx_export.check import clips_of

    first_error: VideoError | None = None
    for path in videos:
        try:
            clips_of(card, path)
        except VideoError as error:
            first_error = first_error or error
        else:
            return path
    if first_error is not None:
        raise first_error
    return None


def _first_view(reference: Reference) -> Reference:
    """The made view alone, which anybody can make again."""
    assert reference.scores is not None
    return replace(reference, clips=reference.clips[:1], logits=reference.logits[:1], scores=reference.scores[:1])


def _write(graph: onnx.ModelProto, file: Path) -> None:
    import onnx

    onnx.checker.check_model(graph, full_check=True)
    file.write_bytes(graph.SerializeToString(deterministic=True))


def _require_passed(card: Card, rows: tuple[Comparison, ...]) -> None:
    failed = [row for row in rows if not row.passed]
    if failed:
        worst = max(failed, key=lambda row: row.relative_difference)
        raise ReferenceMismatch(
            f"{card.name}: no file was written: for clips of {' x '.join(map(str, worst.shape))}, its outputs in "
            f"{worst.precision} differ from torch's by {worst.relative_difference:.2g} of the largest logit, and "
            f"{worst.tolerance:.0e} is allowed"
        )


def _require_packages() -> None:
    missing = [name for name in PACKAGES if not _is_installed(name)]
    if missing:
        raise UsageError(f'exporting needs {", ".join(missing)}; pip install "nlvid-cli[export]" brings it')


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _require_sense(
    precision: str, calibrate: Sequence[Path_ | RemotePath], output: Path_ | None, special: bool
) -> None:
    if precision == "int8" and not calibrate:
        raise UsageError("int8 is calibrated on videos like yours; name some with --calibrate FOLDER")
    if precision != "int8" and calibrate:
        raise UsageError(f"--calibrate is for int8; {precision} needs no calibration")
    if output is None and (precision != "fp32" or special):
        raise UsageError("the cache keeps a model's fp32 file of free size, which --backend uses; name another with -o")
    if output is not None and not is_onnx_name(os.fspath(output)):
        raise UsageError(f"{os.fspath(output)}: the new file is an ONNX file; let its name end in .onnx")
    if output is not None and os.path.isdir(output):
        raise OutputError(f"{os.fspath(output)}: a folder; name a file in it")
    folder = None if output is None else Path(output).absolute().parent
    if folder is not None and not folder.is_dir():
        raise OutputError(f"{folder}: no such folder")


def _place_in_cache(card: Card, weights: Path) -> Path:
    slot = slot_of_manifest_file(card, weights)
    if slot is None:
        raise UsageError(f"{weights}: only a named model has a place in the cache; name the new file with -o")
    return slot.onnx
