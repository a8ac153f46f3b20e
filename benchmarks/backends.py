"""Which backend is faster here, and how much memory does each take?

    python benchmarks/backends.py [--model i3d --model nl-i3d-r50 --model tiny] [--video clip.mp4] [--rounds 3]

Each form of each model runs in a process of its own, which makes it ready, computes one view to warm up, and then
``rounds`` views; told are the time until the first scores (imports, loading, first view), the median time of a view
after that, and the largest resident memory of the process. ``nl-i3d-r50`` is the ResNet-50 I3D with 5 non-local blocks
on 32 frames, with random weights. int8 is calibrated on the video, and left out without one. ``torch compiled`` is
``torch.compile`` of the inference form in fp32, which needs a C++ compiler on CPUs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from nlvid_cli.backends.choose import seconds_per_view
from nlvid_cli.checkpoints.fetch import fetch
from nlvid_cli.checkpoints.manifest import find_card, is_known

FORMS = ("torch fp32", "torch auto", "torch compiled", "onnx fp32", "onnx int8")


@dataclass(frozen=True)
class Measured:
    """One form: what it computes in, seconds until the first scores, median seconds of a view, peak memory."""

    computed: str
    ready_seconds: float
    view_seconds: float
    peak_bytes: int


def weights_of(model: str, folder: Path) -> Path:
    """The file of a model, made of random weights if it is not one of the manifest's."""
    if model != "nl-i3d-r50":
        return fetch(find_card(model))
    from network import nonlocal_i3d

    from nlvid_cli.checkpoints.model_file import write_checkpoint

    card, tensors = nonlocal_i3d()
    path = folder / "nl-i3d-r50.safetensors"
    tensors = {name: array for name, array in tensors.items() if "num_batches" not in name}
    write_checkpoint(path, card, tensors)
    return path


def run_form(form: str, file: str, device: str, rounds: int) -> Measured:
    """Make one form of a model ready and time it; for a process of its own."""
    from nlvid_cli.recognizer import load

    started = time.perf_counter()
    backend = "onnx" if form.startswith("onnx") else "torch"
    precision = "auto" if form in ("torch auto", "onnx int8") else "fp32"
    recognizer = load(file, backend=backend, device=device, precision=precision)  # type: ignore[arg-type]
    if form == "torch compiled":
        import torch

        recognizer.backend._network = torch.compile(recognizer.backend._network)  # type: ignore[attr-defined]
    card = recognizer.card
    seconds_per_view(recognizer.backend, card, 1)
    ready = time.perf_counter() - started
    seconds = [seconds_per_view(recognizer.backend, card, 1) for _ in range(rounds)]
    scale = 1 if sys.platform == "darwin" else 1024
    computed = f"{recognizer.backend.precision} on {recognizer.backend.device}"
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return Measured(computed, ready, median(seconds), peak_bytes)


def measure(form: str, file: Path, device: str, rounds: int) -> Measured | str:
    """The same in a new process; a text says why it did not work."""
    command = [sys.executable, __file__, "--child", form, str(file), device, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:80]
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def forms_of(model: str, video: Path | None, folder: Path, device: str) -> dict[str, Path]:
    """The file of each form of a model; the ONNX ones are exported now."""
    from nlvid_cli.onnx_export import export_onnx

    weights = weights_of(model, folder)
    files = {form: weights for form in FORMS if form.startswith("torch")}
    files["onnx fp32"] = export_onnx(weights, folder / f"{model}.onnx", device=device).path
    if video is not None:
        int8 = folder / f"{model}-int8.onnx"
        files["onnx int8"] = export_onnx(weights, int8, precision="int8", calibrate=[video], device=device).path
    return files


def report(model: str, files: dict[str, Path], device: str, rounds: int) -> Table:
    table = Table(title=f"{model} on {device}")
    numbers = ("seconds per view", "times torch fp32", "until first scores", "peak MB", "file MB")
    for column in ("form", "computed in", *numbers):
        table.add_column(column, justify="right" if column in numbers else "left")
    base: float | None = None
    for form, file in files.items():
        row = measure(form, file, device, rounds)
        if isinstance(row, str):
            table.add_row(form, row)
            continue
        base = base or row.view_seconds
        ratio, megabytes = base / row.view_seconds, (row.peak_bytes / 1e6, file.stat().st_size / 1e6)
        cells = (
            f"{row.view_seconds:.3f}",
            f"{ratio:.2f}",
            f"{row.ready_seconds:.2f}",
            *(f"{m:.0f}" for m in megabytes),
        )
        table.add_row(form, row.computed, *cells)
    return table


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        form, file, device, rounds = sys.argv[2:]
        print(json.dumps(asdict(run_form(form, file, device, int(rounds)))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="Default: i3d, nl-i3d-r50, and tiny where it is known.")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    models = arguments.model or ["i3d", "nl-i3d-r50", *(["tiny"] if is_known("tiny") else [])]
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            files = forms_of(model, arguments.video, Path(folder), arguments.device)
            Console(width=140).print(report(model, files, arguments.device, arguments.rounds))


if __name__ == "__main__":
    main()
