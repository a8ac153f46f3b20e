"""``export_onnx``: from a model to a checked ONNX file."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlvid_cli.card.card import Card
from nlvid_cli.errors import NlvidError, OutputError, ReferenceMismatch, UsageError
from nlvid_cli.models.find import find_model
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.models.onnx_file.read import is_onnx_name
from nlvid_cli.models.progress import Progress
from nlvid_cli.models.store.cache import slot_of_manifest_file
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.video.remote import RemotePath, VideoPath, video_path

if TYPE_CHECKING:
    import onnx

    from nlvid_cli.backends import Array
    from nlvid_cli.backends.onnx_backend import OnnxBackend
    from nlvid_cli.backends.verification import Comparison
    from nlvid_cli.onnx_export.check import Speed
    from nlvid_cli.onnx_export.graph import GraphForm

log = logging.getLogger(__name__)

FilePath = str | PathLike[str]

PACKAGES = ("onnxscript", "torch")
"""Packages that an export needs besides ONNX Runtime."""


@dataclass(frozen=True)
class Exported:
    """A new ONNX file.

    Attributes:
        path: The file.
        card: Card of the model.
        precision: ``fp32``, ``fp16`` or ``int8``.
        size_bytes: Size of the file.
        comparisons: Differences from the network as written, at each size and batch.
        speed: Time of one view here, by torch and by the file. None if the measurement failed.
        features_difference: Largest difference of features and attention from those of the network as written, in units
            of their largest value. None for a file without features.
    """

    path: Path
    card: Card
    precision: str
    size_bytes: int
    comparisons: tuple[Comparison, ...]
    speed: Speed | None
    features_difference: float | None = None


def export_onnx(
    model: FilePath,
    output: FilePath | None = None,
    *,
    as_name: str | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    static: bool = False,
    with_preprocess: bool = False,
    features: bool = False,
    calibrate: Sequence[FilePath | RemotePath] = (),
    video: FilePath | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Exported:
    """Write a model as an ONNX file that needs nothing beside it, and compare it with torch.

    The file takes its place only after it passed the comparison: two sizes of the input (one with ``static``) in
    batches of 1 and 2, within 1e-4 of the largest logit in fp32 (0.1 in fp16, 0.25 in int8).

    Args:
        model: A name, a file or an address, as for ``load``.
        output: The new file. An existing one is replaced. Default, for a named model: its place in the cache, where
            ``--backend onnx`` finds it.
        as_name: For a file without a model card: name of the model with the same network.
        precision: What the file computes in. The head and the sums of the non-local blocks are always in fp32.
        static: Whether to fix frames, height and width to those of the card.
        with_preprocess: Whether the input is uint8 pixels, (N, T, H, W, 3), which the graph normalises.
        features: Whether the file also returns the last feature map, and the queries and keys of each non-local block.
        calibrate: Videos to calibrate int8 on.
        video: A video to compare on, besides made clips. Default: the first of ``calibrate``.
        device: Device to compare and time the file on.
        progress: Receives download progress.

    Raises:
        UsageError: The options do not fit together, or a package is missing.
        ModelError: The model is not available. ReferenceMismatch: the file does not compute what torch does.
        VideoError: The video cannot be used, or none of those to calibrate on.
        OutputError: The file cannot be written.
    """
    _require_packages()
    _require_options(precision, calibrate, output, static or with_preprocess or features)
    from nlvid_cli.onnx_export.graph import GraphForm
    from nlvid_cli.onnx_export.videos import first_usable

    card, weights = find_model(model, as_name, progress)
    target = Path(output) if output is not None else _place_in_cache(card, weights)
    form = GraphForm(precision, static, with_preprocess, features)
    calibration = [video_path(path) for path in calibrate]
    try:
        if output is None:
            target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as file:  # made now, so that a folder without permission is an error before the work
            tensors = open_checkpoint(weights)[1]
            shown = first_usable(card, calibration if video is None else [video_path(video)])
            comparisons, difference, speed = _export(card, tensors, form, calibration, shown, file, device)
            size_bytes = file.stat().st_size
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from None
    return Exported(target, card, precision, size_bytes, comparisons, speed, difference)


def _export(
    card: Card,
    tensors: dict[str, Array],
    form: GraphForm,
    calibration: list[VideoPath],
    video: VideoPath | None,
    file: Path,
    device: str,
) -> tuple[tuple[Comparison, ...], float | None, Speed | None]:
    """Write the file, compare it with torch, and time it.

    Raises:
        ReferenceMismatch: The outputs differ.
    """
    from nlvid_cli.backends.onnx_backend import OnnxBackend
    from nlvid_cli.onnx_export.check import compare_all, features_difference, other_size, reference_of, views_to_compare
    from nlvid_cli.onnx_export.graph import build_graph, write_graph

    log.info("exporting %s in %s", card.name, form.precision)
    graph = build_graph(card, tensors, form)
    if form.precision == "int8":
        graph = _quantised(graph, card, form, calibration, file)
    references = [reference_of(card, tensors, views_to_compare(card, video, form.with_preprocess))]
    write_graph(graph, card, form, references[0], file)
    log.info("comparing it with torch")
    backend = OnnxBackend(card, file, device, "auto")
    if backend.takes_any_size:
        other = other_size(card)
        references.append(reference_of(other, tensors, views_to_compare(other, video, form.with_preprocess)))
    comparisons = tuple(compare_all(backend, references))
    _require_passed(card, comparisons)
    difference = None
    if form.features:
        difference = max(features_difference(card, tensors, backend, reference.clips) for reference in references)
        _require_features(card, difference, comparisons[0])
    return comparisons, difference, _speed(card, tensors, backend, device)


def _quantised(
    graph: onnx.ModelProto, card: Card, form: GraphForm, calibration: list[VideoPath], file: Path
) -> onnx.ModelProto:
    from nlvid_cli.backends.onnx_backend import as_input
    from nlvid_cli.onnx_export.quantise import quantise
    from nlvid_cli.onnx_export.videos import calibration_views

    kind = "uint8" if form.with_preprocess else "float32"
    return quantise(graph, (as_input(view, kind, card) for view in calibration_views(card, calibration)), file)


def _speed(card: Card, tensors: dict[str, Array], backend: OnnxBackend, device: str) -> Speed | None:
    from nlvid_cli.onnx_export import check

    try:
        return check.measure_speed(card, tensors, backend, device)
    except (NlvidError, RuntimeError, MemoryError) as error:  # the file is good all the same
        log.warning("the file could not be timed here: %s", error)
        return None


def _require_passed(card: Card, comparisons: tuple[Comparison, ...]) -> None:
    failed = [row for row in comparisons if not row.passed]
    if failed:
        worst = max(failed, key=lambda row: row.relative_difference)
        raise ReferenceMismatch(
            f"{card.name}: no file was written: for clips of {' x '.join(map(str, worst.shape))}, its outputs in "
            f"{worst.precision} differ from torch's by {worst.relative_difference:.2g} of the largest logit; "
            f"{worst.tolerance:.0e} is allowed"
        )


def _require_features(card: Card, difference: float, comparison: Comparison) -> None:
    if not difference <= comparison.tolerance:  # NaN is not
        raise ReferenceMismatch(
            f"{card.name}: no file was written: its features or attention in {comparison.precision} differ from "
            f"torch's by {difference:.2g} of the largest value; {comparison.tolerance:.0e} is allowed"
        )


def _require_packages() -> None:
    missing = [name for name in PACKAGES if not _is_installed(name)]
    if missing:
        raise UsageError(f'exporting needs {", ".join(missing)}; install with `pip install "nlvid-cli[export]"`')


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _require_options(
    precision: str, calibrate: Sequence[FilePath | RemotePath], output: FilePath | None, special: bool
) -> None:
    """Check that the options fit together, before any work; ``special`` forms of the graph are not for the cache."""
    if precision == "int8" and not calibrate:
        raise UsageError("int8 is calibrated on videos like yours; name some with --calibrate FOLDER")
    if precision != "int8" and calibrate:
        raise UsageError(f"--calibrate is for int8; {precision} needs no calibration")
    if output is None:
        if precision != "fp32" or special:
            raise UsageError("the cache holds only plain fp32 files of free size, for --backend; name a file with -o")
        return
    if not is_onnx_name(os.fspath(output)):
        raise UsageError(f"{os.fspath(output)}: the name of an ONNX file must end in .onnx")
    if os.path.isdir(output):
        raise OutputError(f"{os.fspath(output)}: is a folder; name a file in it")
    folder = Path(output).absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder")


def _place_in_cache(card: Card, weights: Path) -> Path:
    slot = slot_of_manifest_file(card, weights)
    if slot is None:
        raise UsageError(f"{weights}: only a named model has a place in the cache; name the new file with -o")
    return slot.onnx
