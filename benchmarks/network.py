"""Time the inference form of a network against a plain forward pass, and compare the scores.

    python benchmarks/network.py [--model i3d | nl-i3d-r50] [--video clip.mp4] [--rounds 5] [--tiny]

"Plain" is the network as the paper describes it: fp32, contiguous memory, batch norm as a layer of its own. The forms
take turns, so a machine that gets slower or faster during the run does so for all of them. ``nl-i3d-r50`` is the
ResNet-50 I3D with 5 non-local blocks on 32 frames, with random weights. ``--tiny`` runs a very small network of that
kind once and takes seconds; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nlvid_cli.backends import Array
from nlvid_cli.backends.torch_backend import DTYPES, TorchBackend
from nlvid_cli.card.architecture import Head, Kernel3d, NonLocal, ResNetArchitecture
from nlvid_cli.card.card import Card, Sampling
from nlvid_cli.card.manifest import find_card
from nlvid_cli.models.find import find_model
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.network.build import build_network, load_weights
from nlvid_cli.network.head import SCORES
from nlvid_cli.network.summary import summarise
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import sample


def fetched(name: str) -> tuple[Card, dict[str, Array]]:
    card, path = find_model(name)
    return card, open_checkpoint(path)[1]


def nonlocal_i3d(tiny: bool = False) -> tuple[Card, dict[str, Array]]:
    """The network of the paper's table 1, inflated 3x1x1, with 5 non-local blocks and random weights.

    Norms have random scales, so that the non-local blocks, which start as identities, change the outputs.

    Args:
        tiny: Make it much smaller: 6 residual blocks and 2 non-local ones, on 8 frames of 64 x 64.
    """
    architecture = ResNetArchitecture(
        "resnet",
        (3, 4, 6, 3),
        stem=Kernel3d((5, 7, 7), (2, 2, 2), (2, 3, 3)),
        pool1=Kernel3d((3, 3, 3), (2, 2, 2), (1, 1, 1)),
        pool2=Kernel3d((3, 1, 1), (2, 1, 1), (1, 0, 0)),
        inflate=((0, 1, 2), (0, 2), (0, 2, 4), (1,)),
        head=Head("mean_of_softmax", (4, 7, 7)),
        nonlocal_blocks=NonLocal(("res3.1", "res3.3", "res4.1", "res4.3", "res4.5")),
    )
    card = replace(
        find_card("i3d"),
        name="NL5-I3D-R50 with random weights",
        architecture=architecture,
        sampling=Sampling(frames=32, step=2, clips=10, clip_starts="ends", short_video="loop"),
    )
    if tiny:
        card = smaller(card, architecture)
    torch.manual_seed(0)
    network = build_network(card)
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.0)
    return card, {name: tensor.numpy() for name, tensor in network.state_dict().items() if "num_batches" not in name}


def smaller(card: Card, architecture: ResNetArchitecture) -> Card:
    """The same kind of network with few, narrow layers and small clips."""
    architecture = replace(
        architecture,
        blocks=(1, 2, 2, 1),
        width=8,
        inflate=((0,), (0,), (0,), (0,)),
        head=Head("mean_of_softmax", (1, 2, 2)),
        nonlocal_blocks=NonLocal(("res3.1", "res4.1")),
    )
    return replace(
        card,
        name="tiny NL2-I3D with random weights",
        architecture=architecture,
        sampling=replace(card.sampling, frames=8),
        preprocess=replace(card.preprocess, short_side=72, crop=64),
    )


def plain(card: Card, tensors: dict[str, Array], device: str) -> Callable[[Array], Array]:
    """The network as written: no folded norms, no other memory format."""
    network = build_network(card)
    load_weights(network, {name: torch.from_numpy(array) for name, array in tensors.items()}, card.name)
    network.to(device)
    finish = SCORES[card.architecture.head.scores]

    def scores(clips: Array) -> Array:
        with torch.no_grad():
            result: Array = finish(network(torch.from_numpy(clips).to(device))).cpu().numpy()
            return result

    return scores


def scores_of(backend: TorchBackend) -> Callable[[Array], Array]:
    """The scores that a backend returns for clips."""
    return lambda clips: backend.outputs(clips).scores


def one_clip(card: Card, video: Path | None) -> Array:
    """The middle clip of the video, or noise without a video: (1, 3, T, crop, crop)."""
    card = card.with_views(clips=1, crops=1, step=None)
    if video is None:
        crop = card.preprocess.crop
        return np.random.default_rng(0).standard_normal((1, 3, card.sampling.frames, crop, crop), dtype=np.float32)
    info = probe(video)
    frames = read_frames(info, sample(info, card.sampling).frame_numbers, card.preprocess.short_side)
    return preprocess(frames.frames, card.preprocess)


def matmul_flops(dtype: torch.dtype, device: str, size: int) -> float:
    """Floating-point operations per second of a large matrix product, which is the limit of the machine."""
    a = torch.randn(size, size, device=device).to(dtype)
    times = []
    for _ in range(8):
        started = time.perf_counter()
        (a @ a).sum().item()
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="i3d")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="Run once with a very small network.")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.model, arguments.rounds = "nl-i3d-r50", 1

    random = arguments.model == "nl-i3d-r50"
    card, tensors = nonlocal_i3d(arguments.tiny) if random else fetched(arguments.model)
    clips = one_clip(card, arguments.video)
    forms = {
        "plain fp32": plain(card, tensors, arguments.device),
        "inference form, fp32": scores_of(TorchBackend(card, tensors, arguments.device, "fp32")),
    }
    auto = TorchBackend(card, tensors, arguments.device, "auto")
    forms[f"inference form, auto ({auto.precision})"] = scores_of(auto)

    scores = {name: form(clips)[0] for name, form in forms.items()}  # also the warm-up
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(arguments.rounds):
        for name, form in forms.items():
            started = time.perf_counter()
            form(clips)
            seconds[name].append(time.perf_counter() - started)

    table = Table(
        title=f"{card.name}: one view {clips.shape[1:]} on {arguments.device}, {torch.get_num_threads()} threads"
    )
    columns = ("seconds", "times plain (median, range)", "largest score difference", "same top-5 set", "of matmul peak")
    for column in ("form", *columns):
        table.add_column(column, justify="left" if column == "form" else "right")
    reference = scores["plain fp32"]
    flops = 2 * summarise(card).multiply_adds
    size = 256 if arguments.tiny else 2048
    precisions = dict.fromkeys(("fp32", auto.precision))
    peaks = {name: matmul_flops(DTYPES[name], arguments.device, size) for name in precisions}
    for name, times in seconds.items():
        ratios = [p / t for p, t in zip(seconds["plain fp32"], times, strict=True)]
        same = set(np.argsort(-reference)[:5]) == set(np.argsort(-scores[name])[:5])
        table.add_row(
            name,
            f"{median(times):.3f}",
            f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{np.abs(scores[name] - reference).max():.5f}",
            "yes" if same else "no",
            f"{flops / median(times) / peaks[auto.precision if 'auto' in name else 'fp32']:.0%}",
        )
    console = Console(width=140)
    console.print(table)
    for precision, peak in peaks.items():
        console.print(f"matrix product of {size} x {size}, {precision}: {peak / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
