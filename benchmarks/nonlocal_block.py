"""Time and measure the sums of the non-local block against the plain form, which builds the matrix of all pairs.

    python benchmarks/nonlocal_block.py [--device cpu] [--dtype fp32] [--rounds 6] [--tiny]

For each pairwise function and for the feature maps of published clips, the table shows the time of the plain form
divided by the time of nlvid's, forward and in a training step, and the peak memory of both beyond inputs and outputs.
Theta, phi and g are inputs, because both forms project alike. Runs take turns; ratios are medians. ``--tiny`` uses one
small map.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from nlvid_cli.network.pairwise import concatenation_sum, dot_product_sum, softmax_sum

SIZES = {
    # name: positions, keys after the 1x2x2 pool, channels; at 224 x 224
    "res3 of 8x8 and 32x2 clips": (4 * 28 * 28, 4 * 14 * 14, 256),
    "res4 of 8x8 and 32x2 clips": (4 * 14 * 14, 4 * 7 * 7, 512),
    "res3 of 32x4 and 128x1 clips": (16 * 28 * 28, 16 * 14 * 14, 256),
    "res4 of 32x4 and 128x1 clips": (16 * 14 * 14, 16 * 7 * 7, 512),
    "res3 of 128x1 clips, no pool": (16 * 28 * 28, 16 * 28 * 28, 256),
}
TINY_SIZES = {"64 positions": (64, 16, 8)}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def plain_softmax(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    return (theta @ phi.transpose(1, 2) * scale).softmax(dim=2) @ g


def plain_dot_product(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    return (theta @ phi.transpose(1, 2) * (scale / phi.shape[1])) @ g


def plain_concatenation(a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    return torch.relu(a[:, :, None] + b[:, None, :]) @ g / b.shape[1]


@dataclass(frozen=True)
class Form:
    """A pairwise function in both forms.

    ``scalar_terms`` tells whether the function takes the scalars a and b in place of theta and phi.
    """

    fast: Callable[..., Tensor]
    plain: Callable[..., Tensor]
    scalar_terms: bool


FORMS = {
    "softmax": Form(softmax_sum, plain_softmax, False),
    "dot product": Form(dot_product_sum, plain_dot_product, False),
    "concatenation": Form(concatenation_sum, plain_concatenation, True),
}


def inputs(form: Form, size: tuple[int, int, int], dtype: torch.dtype, device: str) -> list[Tensor]:
    """Theta, phi and g, or the scalar terms a and b, and g; a batch of one."""
    positions, keys, channels = size
    torch.manual_seed(0)
    shapes = [(1, positions), (1, keys)] if form.scalar_terms else [(1, positions, channels), (1, keys, channels)]
    return [torch.randn(shape, dtype=dtype, device=device) for shape in [*shapes, (1, keys, channels)]]


def run(form: Form, fast: bool, tensors: list[Tensor]) -> Tensor:
    function = form.fast if fast else form.plain
    return function(*tensors) if form.scalar_terms else function(*tensors, tensors[0].shape[2] ** -0.5)


def seconds(form: Form, fast: bool, tensors: list[Tensor], training: bool) -> float:
    for tensor in tensors:
        tensor.grad = None
        tensor.requires_grad_(training)
    started = time.perf_counter()
    with torch.set_grad_enabled(training):
        y = run(form, fast, tensors)
        if training:
            torch.autograd.backward(y.sum())
    if y.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def median_ratio(form: Form, tensors: list[Tensor], training: bool, rounds: int) -> float:
    """Time of the plain form over nlvid's. They take turns to go first: the second reuses memory of the first."""
    ratios = []
    for number in range(rounds + 1):
        spent = {fast: seconds(form, fast, tensors, training) for fast in (number % 2 == 0, number % 2 == 1)}
        ratios.append(spent[False] / spent[True])
    return median(ratios[1:])  # the first one warms up


def peak_mb(form_name: str, fast: bool, size_name: str, arguments: argparse.Namespace) -> float:
    """Peak memory of one forward pass beyond inputs and output, in a process of its own."""
    command = [sys.executable, __file__, "--peak", form_name, size_name, "fast" if fast else "plain"]
    command += ["--device", arguments.device, "--dtype", arguments.dtype]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_peak(arguments: argparse.Namespace) -> float:
    form_name, size_name, which = arguments.peak
    form, device = FORMS[form_name], arguments.device
    warm_up = inputs(form, (64, 64, 8), DTYPES[arguments.dtype], device)
    tensors = inputs(form, (SIZES | TINY_SIZES)[size_name], DTYPES[arguments.dtype], device)
    with torch.no_grad():
        run(form, which == "fast", warm_up)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            y = run(form, which == "fast", tensors)
            extra = torch.cuda.max_memory_allocated() - before
        else:
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak (Linux)
            before = _status_bytes("VmRSS")
            y = run(form, which == "fast", tensors)
            extra = _status_bytes("VmHWM") - before
    return (extra - y.numel() * y.element_size()) / 1e6


def _status_bytes(key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tiny", action="store_true", help="One small map, one round.")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(measure_peak(arguments))
        return
    sizes = TINY_SIZES if arguments.tiny else SIZES
    rounds = 1 if arguments.tiny else arguments.rounds
    table = Table(title=f"{arguments.device}, {arguments.dtype}: plain / nlvid")
    for column in ("map", "function", "forward", "training step", "extra memory, plain", "extra memory, nlvid"):
        table.add_column(column, justify="left" if column in ("map", "function") else "right")
    for size_name, size in sizes.items():
        for form_name, form in FORMS.items():
            tensors = inputs(form, size, DTYPES[arguments.dtype], arguments.device)
            cells = [size_name, form_name]
            for training in (False, True):
                cells.append(f"{median_ratio(form, tensors, training, rounds):.2f}")
            if arguments.tiny and form_name != "softmax":  # a new process for each takes seconds
                cells += ["not measured"] * 2
            else:
                cells += [f"{peak_mb(form_name, fast, size_name, arguments):.0f} MB" for fast in (False, True)]
            table.add_row(*cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
