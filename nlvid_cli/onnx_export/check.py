"""Does an exported file compute what the network does, and is it faster here?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from nlvid_cli.backends import Array, Backend
from nlvid_cli.backends.choose import seconds_per_view
from nlvid_cli.backends.providers import GPU
from nlvid_cli.backends.torch_backend import TorchBackend, outputs_as_written
from nlvid_cli.backends.verification import Comparison, Reference, compare, make_blocks
from nlvid_cli.card.architecture import Architecture
from nlvid_cli.card.card import Card, Preprocess
from nlvid_cli.errors import VideoError
from nlvid_cli.video.clips import Segment, decode_clips
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.remote import VideoPath

SEED = 1234
VIEWS = 2
"""Views of each size; they are compared one by one and in one batch."""


@dataclass(frozen=True)
class Speed:
    """The time of one view in seconds by each backend, and what each computed in.

    ``seconds`` and ``computed`` have the keys ``torch`` and ``onnx``; values of the latter are like ``bf16 on cpu``.
    """

    seconds: Mapping[str, float]
    computed: Mapping[str, str]

    def sentence(self) -> str:
        """Which one is faster here, and by how much."""
        names = {"torch": "torch", "onnx": "ONNX Runtime"}
        fast, slow = sorted(self.seconds, key=lambda name: self.seconds[name])
        ratio = self.seconds[slow] / self.seconds[fast]
        told = ", ".join(f"{names[n]} {self.seconds[n]:.2f} s in {self.computed[n]}" for n in ("onnx", "torch"))
        verdict = "both are as fast here" if ratio < 1.05 else f"{names[fast]} is {ratio:.1f} times as fast here"
        return f"one view takes {told}: {verdict}"


def reference_views(card: Card, video: VideoPath | None, whole_pixels: bool) -> Array:
    """Two views to compare, (2, 3, T, crop, crop): made ones, and the middle clip of the video if there is one.

    Args:
        card: of the model.
        video: the video, or None.
        whole_pixels: whether the graph takes pixels, and so no fractions of them, which the card's resizing may give.
    """
    shape = (VIEWS, 3, card.sampling.frames, card.preprocess.crop, card.preprocess.crop)
    views = make_blocks(shape, SEED, card.preprocess)
    if video is not None:
        views[1] = clips_of(card, video)[0]
        if whole_pixels:
            views[1] = _in_whole_pixels(views[1], card.preprocess)
    return views


def _in_whole_pixels(clip: Array, rules: Preprocess) -> Array:
    mean, std = (np.array(values, np.float32)[:, None, None, None] for values in (rules.mean, rules.std))
    rounded: Array = (np.clip(np.rint(clip * std + mean), 0, 255) - mean) / std
    return rounded


def clips_of(card: Card, video: VideoPath, clips: int = 1) -> Array:
    """Centre crops of clips of a video, evenly spread: (clips, 3, T, crop, crop).

    Raises:
        VideoError: if the video cannot be used; names it.
    """
    card = card.with_views(clips=clips, crops=1, step=None)
    try:
        frames, _ = decode_clips(Segment(video), card.sampling, card.preprocess)
    except VideoError as error:
        raise type(error)(f"{video}: {error}") from error
    return preprocess(frames, card.preprocess)


def with_reference(card: Card, tensors: Mapping[str, Array], views: Array) -> Reference:
    """Views and what the network as written, in fp32, puts out for them."""
    outputs = outputs_as_written(card, tensors, views)
    return Reference("network as written, fp32", views, outputs.logits, outputs.scores)


def other_size(card: Card) -> Card:
    """The same model for clips that are longer, larger, and odd where they may be.

    Non-local blocks in groups of frames need a number of frames that their groups divide.
    """
    more = 3 if _frames_of_a_group(card.architecture) == 1 else _frames_of_a_group(card.architecture)
    rules = card.preprocess
    rules = replace(rules, crop=rules.crop + 13, short_side=max(rules.short_side, rules.crop + 13))
    return replace(card, sampling=replace(card.sampling, frames=card.sampling.frames + more), preprocess=rules)


def _frames_of_a_group(architecture: Architecture) -> int:
    """Number of frames of the clip in one group of the non-local blocks; 1 without groups."""
    blocks = architecture.nonlocal_blocks
    return blocks.group_frames * architecture.time_stride if blocks and blocks.group_frames else 1


def compare_all(backend: Backend, references: list[Reference]) -> Iterator[Comparison]:
    """Each reference twice: view by view, and all views in one batch."""
    for reference in references:
        for batch in (1, len(reference.clips)):
            backend.views_per_batch = batch
            row = compare(reference, backend)
            yield replace(row, shape=(batch, *row.shape[1:]))


def measure_speed(card: Card, tensors: Mapping[str, Array], backend: Backend, device: str) -> Speed:
    """Time one view by torch, in the precision that it chooses by itself, and by the exported file.

    Args:
        card: of the model.
        tensors: its weights.
        backend: that has the file.
        device: as it was asked for, by ONNX Runtime's names.
    """
    backends = {"torch": TorchBackend(card, tensors, torch_device(device), "auto"), "onnx": backend}
    return Speed(
        {name: seconds_per_view(each, card) for name, each in backends.items()},
        {name: f"{each.precision} on {each.device}" for name, each in backends.items()},
    )


def torch_device(device: str) -> str:
    """The name in torch of the hardware that a device of ONNX Runtime runs on; ``auto`` stays what it is."""
    name, _, index = device.partition(":")
    if name in GPU:
        return f"cuda:{index or 0}"
    if name in ("coreml", "mps"):
        return "mps" if torch.backends.mps.is_available() else "cpu"
    return "cpu" if name == "openvino" else device
