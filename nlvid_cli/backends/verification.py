"""Compare a model's outputs on this machine with references, for each backend and precision.

The reference is what the original implementation computed, if nlvid has that. Otherwise it is the network as written,
in torch and fp32, without any of the changes that make it fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlvid_cli.backends import BACKENDS, Array, Backend, Precision
from nlvid_cli.backends.references import ReferenceOutputs, noise_clips, parse_reference, read_references
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import weights_folder
from nlvid_cli.errors import UsageError
from nlvid_cli.models.onnx_file.contract import REFERENCE_KEY, Interface, interface_of
from nlvid_cli.models.onnx_file.read import read_onnx

TOLERANCES = {
    "fp32": 1e-4,
    "bf16": 0.1,  # rounds each step to 3 digits
    "fp16": 0.1,  # to 4 digits
    "int8": 0.25,  # has 256 steps from the smallest to the largest value of a map
}
"""Largest difference that passes, in units of the largest logit, by precision."""

SEED = 1234


@dataclass(frozen=True)
class Comparison:
    """Difference between the outputs of one backend in one precision and one reference.

    Attributes:
        reference: Origin of the reference.
        shape: (N, C, T, H, W) of the clips.
        backend: For example ``torch``.
        device: For example ``cpu``.
        precision: A key of :data:`TOLERANCES`.
        logits_difference: Largest absolute difference of logits.
        largest_logit: Largest absolute value of the reference's logits.
        scores_difference: Largest absolute difference of scores, or None if the reference has no scores.
        same_top5: Whether the five best labels of each clip are the same.
        tolerance: Largest ``relative_difference`` that passes.
    """

    reference: str
    shape: tuple[int, ...]
    backend: str
    device: str
    precision: str
    logits_difference: float
    largest_logit: float
    scores_difference: float | None
    same_top5: bool
    tolerance: float

    @property
    def relative_difference(self) -> float:
        """The larger of both differences, in units of the largest logit."""
        # softmax and sigmoid move scores by no more than the logits moved
        scores = 0.0 if self.scores_difference is None else self.scores_difference
        return float(np.maximum(self.logits_difference, scores)) / self.largest_logit

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance. NaN is not."""
        return self.relative_difference <= self.tolerance


def verify(
    card: Card,
    tensors: Mapping[str, Array],
    device: str = "auto",
    precisions: Sequence[Precision] = (),
    against: Path | None = None,
) -> tuple[Comparison, ...]:
    """Compare torch with the references of a model, in each precision.

    Args:
        card: Card of the model.
        tensors: Weights by name.
        device: As for ``load``.
        precisions: Precisions to compare; empty for all that the device has.
        against: A file of references. Default: the stored one of this model, else the network as written.

    Raises:
        DeviceError: The device or a precision is not available.
        CheckpointMismatch: The weights do not fit the network.
        UsageError: ``against`` is not a file of references, or not for this model.
    """
    from nlvid_cli.backends.torch_backend import TorchBackend

    references = _references_of_model(card, tensors, against)
    comparisons: list[Comparison] = []
    for precision in precisions or _precisions_of(device):
        backend = TorchBackend(card, tensors, device, precision)
        comparisons += [compare(reference, backend) for reference in references]
    return tuple(comparisons)


def verify_onnx(
    card: Card,
    path: Path,
    device: str = "auto",
    precisions: Sequence[Precision] = (),
    against: Path | None = None,
) -> tuple[Comparison, ...]:
    """Compare an ONNX file with the references of its model.

    Args:
        card: Card of the model.
        path: The file.
        device: As for ``load``.
        precisions: Only the file's own precision is available; empty for that.
        against: A file of references. Default: the stored one of this model, else the one inside the file.

    Raises:
        DeviceError: The device is not available, or the file has another precision.
        ModelError: The file cannot be run.
        UsageError: There is no reference, or none for this model.
    """
    # each one is opened, so that a precision which the file does not have is an error
    backends = [BACKENDS["onnx"](card, path, device, precision) for precision in precisions or ("auto",)]
    return tuple(compare(reference, backends[0]) for reference in _references_of_onnx(card, path, against))


def compare(reference: ReferenceOutputs, backend: Backend) -> Comparison:
    """Run a backend on the clips of a reference and measure the difference of the outputs."""
    outputs = backend.outputs(reference.clips)
    logits, scores = outputs.logits, outputs.scores
    top = min(5, logits.shape[1])
    return Comparison(
        reference=reference.origin,
        shape=reference.clips.shape,
        backend=backend.name,
        device=backend.device,
        precision=backend.precision,
        logits_difference=float(np.abs(logits - reference.logits).max()),
        largest_logit=float(np.abs(reference.logits).max()),
        scores_difference=None if reference.scores is None else float(np.abs(scores - reference.scores).max()),
        same_top5=all(
            set(np.argsort(-ours)[:top]) == set(np.argsort(-theirs)[:top])
            for ours, theirs in zip(logits, reference.logits, strict=True)
        ),
        tolerance=TOLERANCES[backend.precision],
    )


def _precisions_of(device: str) -> tuple[Precision, ...]:
    """Precisions that torch has on a device."""
    from nlvid_cli.backends.torch_backend import choose_device

    return ("fp32", "bf16") if choose_device(device).type == "cpu" else ("fp32", "bf16", "fp16")


def _stored(card: Card) -> Path:
    return weights_folder() / "references" / f"{card.name}.npz"


def _references_of_model(
    card: Card, tensors: Mapping[str, Array], against: Path | None
) -> tuple[ReferenceOutputs, ...]:
    if against is not None:
        return read_references(against, card, against.name)
    if _stored(card).is_file():
        return read_references(_stored(card), card, "original implementation")
    from nlvid_cli.backends.torch_backend import outputs_as_written

    clips = noise_clips((1, 3, card.sampling.frames, card.preprocess.crop, card.preprocess.crop), SEED)
    outputs = outputs_as_written(card, tensors, clips)
    return (ReferenceOutputs("network as written, fp32", clips, outputs.logits, outputs.scores),)


def _references_of_onnx(card: Card, path: Path, against: Path | None) -> tuple[ReferenceOutputs, ...]:
    model = read_onnx(path)
    if against is not None:
        return read_references(against, card, against.name)
    if _stored(card).is_file() and _takes_any_clip(interface_of(model, card, str(path))):
        return read_references(_stored(card), card, "original implementation")
    inside = model.metadata.get(REFERENCE_KEY)
    if inside is None:
        raise UsageError(f"{path}: no reference inside; name one with --against FILE.npz")
    try:
        return (parse_reference(inside, card),)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise UsageError(f"{path}: the reference inside is not valid ({error}); name one with --against") from None


def _takes_any_clip(interface: Interface) -> bool:
    """Whether the stored references can be replayed: of any size, and with values that no pixel has."""
    free = (interface.batch, interface.frames, *interface.size) == (None,) * 4
    # the stored ones are noise, which int8 is not calibrated for
    return free and interface.kind != "uint8" and interface.precision != "int8"
