"""How much faster is the network in its inference form than a plain forward pass, and how far are the scores off?

    python benchmarks/network.py [--model i3d | nl-i3d-r50] [--video clip.mp4] [--rounds 5]

Plain is what a reader of the paper would run: fp32, contiguous memory, batch norm as its own layer. All forms are
timed in turn, round by round, so that a machine that gets slower or faster meanwhile does so for all of them.
``nl-i3d-r50`` is the ResNet-50 I3D with 5 non-local blocks on 32 frames, with random weights.
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
from nlvid_cli.models.fetch import fetch, open_checkpoint
from nlvid_cli.network.build import build_network, load_weights
from nlvid_cli.network.head import SCORES
from nlvid_cli.network.summary import summarise
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import sample


def fetched(name: str) -> tuple[Card, dict[str, Array]]:
    card = find_card(name)
    return card, open_checkpoint(fetch(card))[1]


def nonlocal_i3d() -> tuple[Card, dict[str, Array]]:
    """The paper's table 1, inflated 3x1x1, with 5 blocks; batch norms count, the blocks do something."""
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
        name="NL5 I3D R50, random weights",
        architecture=architecture,
        sampling=Sampling(frames=32, step=2, clips=10, clip_starts="ends", short_video="loop"),
    )
    torch.manual_seed(0)
    network = build_network(card)
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.0)
    return card, {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def plain(card: Card, tensors: dict[str, Array], device: str) -> Callable[[Array], Array]:
    """The network as written, without its inference form."""
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
    """What the backend makes of clips."""
    return lambda clips: backend.outputs(clips).scores


def one_clip(card: Card, video: Path | None) -> Array:
    """The middle clip of the video, (1, 3, T, crop, crop); noise if there is no video."""
    card = card.with_views(clips=1, crops=1, step=None)
    if video is None:
        crop = card.preprocess.crop
        return np.random.default_rng(0).standard_normal((1, 3, card.sampling.frames, crop, crop), dtype=np.float32)
    info = probe(video)
    frames = read_frames(info, sample(info, card.sampling).frame_numbers, card.preprocess.short_side)
    return preprocess(frames.frames, card.preprocess)


def matmul_flops(dtype: torch.dtype, device: str, size: int = 2048) -> float:
    """The machine's own limit: floating-point operations per second of a large matrix product."""
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
    arguments = parser.parse_args()

    card, tensors = nonlocal_i3d() if arguments.model == "nl-i3d-r50" else fetched(arguments.model)
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
    peaks = {name: matmul_flops(DTYPES[name], arguments.device) for name in dict.fromkeys(("fp32", auto.precision))}
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
    console = Console()
    console.print(table)
    for precision, peak in peaks.items():
        console.print(f"matrix product of 2048 x 2048, {precision}: {peak / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
