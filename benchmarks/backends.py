"""Which backend is faster here, and how much memory does each take?

    python benchmarks/backends.py [--model i3d --model nl-i3d-r50 --model tiny] [--video clip.mp4] [--rounds 3]

Each form of each model lives in a process of its own, which makes it ready and computes as many views as it likes to
have at once, to warm up; then all of them do so ``rounds`` times in turn. Told are the time until the first scores
(imports, loading, first views), the median time per view after that, and the largest resident memory of the process.
``nl-i3d-r50`` is the ResNet-50 I3D with 5 non-local blocks on 32 frames, with random weights. int8 is calibrated on the
video, and left out without one. ``torch compiled`` is ``torch.compile`` of the inference form in fp32, which needs a
C++ compiler on CPUs.
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

from rich.console import Console
from rich.table import Table

from nlvid_cli.backends.choose import seconds_per_view
from nlvid_cli.card.manifest import find_card, is_known
from nlvid_cli.models.fetch import fetch

FORMS = ("torch fp32", "torch auto", "torch compiled", "onnx fp32", "onnx int8")


def weights_of(model: str, folder: Path) -> Path:
    """The file of a model, made of random weights if it is not one of the manifest's."""
    if model != "nl-i3d-r50":
        return fetch(find_card(model))
    from network import nonlocal_i3d

    from nlvid_cli.models.model_file import write_checkpoint

    card, tensors = nonlocal_i3d()
    path = folder / "nl-i3d-r50.safetensors"
    tensors = {name: array for name, array in tensors.items() if "num_batches" not in name}
    write_checkpoint(path, replace(card, name=model, aliases=(), sources=()), tensors)
    return path


def child(form: str, file: str, device: str) -> None:
    """Make one form of a model ready and compute a view; then one more for each line on stdin. Tells each in JSON."""
    from nlvid_cli.recognize.recognizer import load

    started = time.perf_counter()
    backend = "onnx" if form.startswith("onnx") else "torch"
    precision = "auto" if form in ("torch auto", "onnx int8") else "fp32"
    recognizer = load(file, backend=backend, device=device, precision=precision)  # type: ignore[arg-type]
    if form == "torch compiled":
        import torch

        torch._dynamo.config.recompile_limit = 256  # the blocks of a network share their code
        recognizer.backend._network = torch.compile(recognizer.backend._network)  # type: ignore[attr-defined]
    seconds_per_view(recognizer.backend, recognizer.card, 1)
    ready = time.perf_counter() - started
    computed = f"{recognizer.backend.precision} on {recognizer.backend.device}"
    print(json.dumps({"ready": ready, "computed": computed}), flush=True)
    for _ in sys.stdin:
        seconds = seconds_per_view(recognizer.backend, recognizer.card, 1)
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}), flush=True)


def peak_bytes() -> int:
    """Largest resident memory of this process so far; on Linux without that of the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Form:
    """One form of a model, in a process of its own, which waits between its views."""

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
        """Let the process end."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {}


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
    """Make all forms ready, one after the other; then time them in turn, so that a busy machine is busy for all."""
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
    return table


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
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
