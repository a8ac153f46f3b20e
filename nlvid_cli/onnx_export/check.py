"""Compare an exported file with torch, and time both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from nlvid_cli.backends import Array, Backend, Want
from nlvid_cli.backends.choose import seconds_per_view
from nlvid_cli.backends.providers import GPU
from nlvid_cli.backends.references import ReferenceOutputs, mosaic_clips
from nlvid_cli.backends.torch_backend import TorchBackend, outputs_as_written
from nlvid_cli.backends.verification import Comparison, compare
from nlvid_cli.card.architecture import Architecture
from nlvid_cli.card.card import Card, Preprocess
from nlvid_cli.onnx_export.videos import clips_of
from nlvid_cli.video.remote import VideoPath

SEED = 1234

VIEWS = 2
"""Views of each size. They are compared one by one and in one batch."""


@dataclass(frozen=True)
class Speed:
    """Time of one view by each backend.

    Attributes:
        seconds: Seconds per view, by ``torch`` and ``onnx``.
        computed: Precision and device, such as ``bf16 on cpu``, by the same keys.
    """

    seconds: Mapping[str, float]
    computed: Mapping[str, str]

    def sentence(self) -> str:
        """Say which backend is faster here, and by how much."""
        names = {"torch": "torch", "onnx": "ONNX Runtime"}
        fast, slow = sorted(self.seconds, key=lambda name: self.seconds[name])
        ratio = self.seconds[slow] / self.seconds[fast]
        times = ", ".join(f"{names[n]} {self.seconds[n]:.2f} s in {self.computed[n]}" for n in ("onnx", "torch"))
        verdict = "both are equally fast here" if ratio < 1.05 else f"{names[fast]} is {ratio:.1f} times as fast here"
        return f"one view takes {times}: {verdict}"


def views_to_compare(card: Card, video: VideoPath | None, whole_pixels: bool) -> Array:
    """Make two views, (2, 3, T, crop, crop): mosaics, or one mosaic and the middle clip of a video.

    Args:
        card: Card of the model.
        video: A video, or None.
        whole_pixels: Whether to round pixels to whole numbers, which is all that a graph with uint8 input can take. The
            card's resizing may give fractions.
    """
    shape = (VIEWS, 3, card.sampling.frames, card.preprocess.crop, card.preprocess.crop)
    views = mosaic_clips(shape, SEED, card.preprocess)
    if video is not None:
        views[1] = clips_of(card, video)[0]
        if whole_pixels:
            views[1] = _in_whole_pixels(views[1], card.preprocess)
    return views


def _in_whole_pixels(clip: Array, rules: Preprocess) -> Array:
    mean, std = (np.array(values, np.float32)[:, None, None, None] for values in (rules.mean, rules.std))
    rounded: Array = (np.clip(np.rint(clip * std + mean), 0, 255) - mean) / std
    return rounded


def reference_of(card: Card, tensors: Mapping[str, Array], views: Array) -> ReferenceOutputs:
    """Run the network as written, in fp32, on some views."""
    outputs = outputs_as_written(card, tensors, views)
    return ReferenceOutputs("network as written, fp32", views, outputs.logits, outputs.scores)


def other_size(card: Card) -> Card:
    """Return the same model for longer and larger clips, of odd sizes if possible."""
    # groups of frames must divide the number of frames
    more = 3 if _frames_of_a_group(card.architecture) == 1 else _frames_of_a_group(card.architecture)
    rules = card.preprocess
    rules = replace(rules, crop=rules.crop + 13, short_side=max(rules.short_side, rules.crop + 13))
    return replace(card, sampling=replace(card.sampling, frames=card.sampling.frames + more), preprocess=rules)


def _frames_of_a_group(architecture: Architecture) -> int:
    """Number of frames of the clip in one group of the non-local blocks; 1 without groups."""
    blocks = architecture.nonlocal_blocks
    return blocks.group_frames * architecture.time_stride if blocks and blocks.group_frames else 1


def compare_all(backend: Backend, references: list[ReferenceOutputs]) -> Iterator[Comparison]:
    """Compare each reference twice: view by view, and all views in one batch."""
    for reference in references:
        for batch in (1, len(reference.clips)):
            backend.views_per_batch = batch
            row = compare(reference, backend)
            yield replace(row, shape=(batch, *row.shape[1:]))


def features_difference(card: Card, tensors: Mapping[str, Array], backend: Backend, views: Array) -> float:
    """Compare features and attention with the network as written, in fp32.

    Args:
        card: Card of the model.
        tensors: Weights by name.
        backend: The exported file, opened.
        views: (views, 3, T, H, W), normalised.

    Returns:
        The largest difference of the feature map, in units of its largest value, or of a weight of attention, in units
        of the largest weight of its block, whichever is larger.
    """
    blocks = card.architecture.nonlocal_blocks
    # one query has all keys in its row; all queries of a large map would take gigabytes
    want = Want(features=True, attention={block: [0] for block in (blocks.after if blocks else ())})
    ours, theirs = backend.outputs(views, want), outputs_as_written(card, tensors, views, want)
    assert ours.features is not None
    assert theirs.features is not None
    pairs = [(ours.features.map, theirs.features.map)]
    for block in want.attention:
        assert ours.attention is not None
        assert theirs.attention is not None
        pairs.append((ours.attention[block].weights, theirs.attention[block].weights))
    # a row of the concatenation is zero where its ReLU is closed for all keys
    return max(float(np.abs(mine - other).max() / (np.abs(other).max() or 1)) for mine, other in pairs)


def measure_speed(card: Card, tensors: Mapping[str, Array], backend: Backend, device: str) -> Speed:
    """Time one view by torch, in the precision that it chooses by itself, and by the exported file.

    Args:
        card: Card of the model.
        tensors: Weights by name.
        backend: The exported file, opened.
        device: Device as the user named it, for ONNX Runtime.
    """
    backends = {"torch": TorchBackend(card, tensors, torch_device(device), "auto"), "onnx": backend}
    return Speed(
        {name: seconds_per_view(each, card) for name, each in backends.items()},
        {name: f"{each.precision} on {each.device}" for name, each in backends.items()},
    )


def torch_device(device: str) -> str:
    """Return torch's name of the hardware that a device of ONNX Runtime runs on; ``auto`` stays ``auto``."""
    name, _, index = device.partition(":")
    if name in GPU:
        return f"cuda:{index or 0}"
    if name in ("coreml", "mps"):
        return "mps" if torch.backends.mps.is_available() else "cpu"
    return "cpu" if name == "openvino" else device
