"""Compare the backends: time per view, time until the first scores, and peak memory.

    python benchmarks/backends.py [--model i3d --model nl-i3d-r50 --model tiny] [--video clip.mp4] [--rounds 3] [--tiny]

Each form of a model runs in a process of its own. It loads and computes one batch of views to warm up; then the forms
take turns for ``rounds`` rounds. The table shows the median time per view, the time until the first scores (imports,
loading, first batch) and the peak resident memory.

``nl-i3d-r50`` is the ResNet-50 I3D with 5 non-local blocks on 32 frames, with random weights. int8 is calibrated on the
video, if one is given, and on clips of random blocks. A form that cannot be exported or does not run here has a row
that says why. ``torch compiled`` is ``torch.compile`` of the inference form in fp32 and needs a C++ compiler on CPUs.
``--tiny`` runs a very small network once and leaves ``torch compiled`` out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from nlvid_cli.backends.choose import seconds_per_view
from nlvid_cli.errors import ReferenceMismatch
from nlvid_cli.models.find import find_model

FORMS = ("torch fp32", "torch auto", "torch compiled", "onnx fp32", "onnx int8")
RANDOM, SMALL = "nl-i3d-r50", "small"
"""Models with random weights; :data:`SMALL` is for ``--tiny``."""


def weights_of(model: str, folder: Path) -> Path:
    """The file of a named model, or a file of random weights for the two that only benchmarks have."""
    if model not in (RANDOM, SMALL):
        return find_model(model)[1]
    from network import nonlocal_i3d

    from nlvid_cli.models.model_file import write_checkpoint

    card, tensors = nonlocal_i3d(tiny=model == SMALL)
    path = folder / f"{model}.safetensors"
    write_checkpoint(path, replace(card, name=model, aliases=(), sources=()), tensors)
    return path


def child(form: str, file: str, device: str) -> None:
    """Load one form of a model and compute views; then again for each line on stdin. Reports each time as JSON."""
    from nlvid_cli.recognize.recognizer import load

    started = time.perf_counter()
    backend = "onnx" if form.startswith("onnx") else "torch"
    precision = "auto" if form in ("torch auto", "onnx int8") else "fp32"
    recognizer = load(file, backend=backend, device=device, precision=precision)  # type: ignore[arg-type]
    if form == "torch compiled":
        import torch

        torch._dynamo.config.recompile_limit = 256  # all blocks of a network share their code
        recognizer.backend._network = torch.compile(recognizer.backend._network)  # type: ignore[attr-defined]
    seconds_per_view(recognizer.backend, recognizer.card, 1)
    ready = time.perf_counter() - started
    computed = f"{recognizer.backend.precision} on {recognizer.backend.device}"
    print(json.dumps({"ready": ready, "computed": computed}), flush=True)
    for _ in sys.stdin:
        seconds = seconds_per_view(recognizer.backend, recognizer.card, 1)
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}), flush=True)


def peak_bytes() -> int:
    """Peak resident memory of this process; on Linux without that of its parent."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Form:
    """One form of a model, in a process of its own that waits between views."""

    def __init__(self, name: str, file: Path, device: str) -> None:
        self.name, self.file = name, file
        command = [sys.executable, __file__, "--child", name, str(file), device]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self._answer()
        self.seconds: list[float] = []
        self.peak_bytes = 0

    def look(self) -> None:
        """Compute one view."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.seconds.append(answer["seconds"])
        self.peak_bytes = answer["peak_bytes"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {}


def forms_of(model: str, video: Path | None, folder: Path, device: str) -> tuple[dict[str, Path], dict[str, str]]:
    """Export a model to ONNX, and return the file of each form and the reason for each form without a file."""
    from nlvid_cli.onnx_export import export_onnx

    weights = weights_of(model, folder)
    files = {form: weights for form in FORMS if form.startswith("torch")}
    if model == SMALL:
        del files["torch compiled"]
    files["onnx fp32"] = export_onnx(weights, folder / f"{model}.onnx", device=device).path
    int8, calibrate = folder / f"{model}-int8.onnx", made_clips(folder)
    if video is not None:
        calibrate.insert(0, video)
    try:
        files["onnx int8"] = export_onnx(weights, int8, precision="int8", calibrate=calibrate, device=device).path
    except ReferenceMismatch as error:
        return files, {"onnx int8": str(error)}
    return files, {}


def made_clips(folder: Path) -> list[Path]:
    """Four short videos of random blocks, fine to coarse, for the calibration of int8.

    A single video of a few seconds gives ranges that are too small for the check of the exported file.
    """
    paths = [folder / f"blocks-{side}.mp4" for side in (8, 16, 32, 64)]
    for path, side in zip(paths, (8, 16, 32, 64), strict=True):
        rng = np.random.default_rng(side)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 320, 256, "yuv420p"
            for number in range(64):
                if number % 8 == 0:
                    blocks = rng.integers(0, 256, (256 // side, 320 // side, 3), np.uint8)
                picture = blocks.repeat(side, axis=0).repeat(side, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    return paths


def report(model: str, files: dict[str, Path], missing: dict[str, str], device: str, rounds: int) -> Table:
    """Load all forms, one after the other; then time them in turn, so that a busy machine is busy for all."""
    forms = [Form(name, file, device) for name, file in files.items()]
    running = [form for form in forms if form.facts]
    for _ in range(rounds):
        for form in running:
            form.look()
    table = Table(title=f"{model} on {device}")
    numbers = ("seconds per view", "times torch fp32 (median, range)", "until first scores", "peak MB", "file MB")
    for column in ("form", "computed in", *numbers):
        table.add_column(column, justify="right" if column in numbers else "left")
    for form in forms:
        form.close()
        if not form.facts:
            table.add_row(form.name, "does not run here")
            continue
        ratios = [base / own for base, own in zip(running[0].seconds, form.seconds, strict=True)]
        table.add_row(
            form.name,
            form.facts["computed"],
            f"{median(form.seconds):.3f}",
            f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{form.facts['ready']:.2f}",
            f"{form.peak_bytes / 1e6:.0f}",
            f"{form.file.stat().st_size / 1e6:.0f}",
        )
    for name, reason in missing.items():
        table.add_row(name, f"no file: {reason}")
    return table


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="Repeatable. Default: i3d, nl-i3d-r50, tiny.")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="A very small network, one round.")
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.model, arguments.rounds = [SMALL], 1
    models = arguments.model or ["i3d", RANDOM, "tiny"]
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            files, missing = forms_of(model, arguments.video, Path(folder), arguments.device)
            Console(width=140).print(report(model, files, missing, arguments.device, arguments.rounds))


if __name__ == "__main__":
    main()
