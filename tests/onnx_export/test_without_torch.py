"""An exported file without torch: nothing tries to import it, and the start is faster."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
import venv
from pathlib import Path

import onnxruntime
import pytest

from nlvid_cli.onnx_export import Exported
from tests.conftest import REPOSITORY, Run

BLOCKED = """
import importlib.metadata, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnxscript", "accelerate"):
            raise ModuleNotFoundError(f"{name} is not installed (blocked by the test)", name=name)

sys.meta_path.insert(0, Blocker())
distribution = importlib.metadata.distribution

def no_torch(name):
    if name.startswith("torch"):
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)

importlib.metadata.distribution = no_torch
sys.argv[0] = "nlvid"
from nlvid_cli.app import main
main()
"""
"""A program in which torch and the other packages of the export cannot be imported."""

PACKAGES = (
    "av",
    "filelock",
    "numpy",
    "onnx",
    "onnxruntime",
    "platformdirs",
    "pydantic",
    "rich",
    "safetensors",
    "typer",
)
"""Packages that docs/onnx.md names for a machine without torch."""


def _without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)


def test_classify_prints_the_same_as_with_torch_installed(exported: Exported, clips: Path, run: Run) -> None:
    arguments = ("classify", clips / "long.mp4", "-m", exported.path, "-f", "json")
    done = _without_torch(*arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(run(*arguments).out)


def test_other_commands_that_do_not_need_torch(exported: Exported) -> None:
    shown = _without_torch("models", "show", exported.path)
    assert shown.returncode == 0, shown.stderr
    assert "ONNX, opset 18" in shown.stdout
    assert "the layers of the network are not shown, because torch is not installed" in shown.stderr
    verified = _without_torch("models", "verify", exported.path)
    assert (verified.returncode, "good" in verified.stdout) == (0, True), verified.stderr


def test_commands_that_need_torch(small_file: Path, clips: Path) -> None:
    done = _without_torch("classify", clips / "long.mp4", "-m", small_file)
    assert done.returncode == 3
    assert "error: torch is not installed" in done.stderr
    done = _without_torch("export", "-m", small_file, "-o", "x.onnx")
    assert done.returncode == 2
    assert "exporting needs torch" in done.stderr


def _started(backend: str, model: Path) -> float:
    """Seconds from the start of Python to the scores of a clip, the better of two runs."""
    code = (
        "import sys, numpy, nlvid_cli\n"
        "recognizer = nlvid_cli.load(sys.argv[1], backend=sys.argv[2], device='cpu', precision='fp32')\n"
        "recognizer.scores(numpy.zeros((1, 3, 8, 64, 64), numpy.float32))\n"
        "assert ('torch' in sys.modules, 'onnx' in sys.modules) == (sys.argv[2] == 'torch', sys.argv[2] == 'onnx')"
    )
    taken = []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, str(model), backend], cwd=REPOSITORY, check=True)
        taken.append(time.perf_counter() - started)
    return min(taken)


def test_it_starts_at_least_twice_as_fast(exported: Exported, small_file: Path) -> None:
    assert _started("onnx", exported.path) < _started("torch", small_file) / 2


@pytest.mark.slow
@pytest.mark.network
def test_a_real_environment_without_torch(exported: Exported, clips: Path, tmp_path: Path) -> None:
    """Install only the packages of docs/onnx.md, and their dependencies."""
    page = (REPOSITORY / "docs" / "onnx.md").read_text(encoding="utf-8")
    assert all(re.search(rf"\b{name}\b", page) for name in PACKAGES)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    versions = {name: importlib.metadata.version(name) for name in PACKAGES if name != "onnxruntime"}
    versions["onnxruntime"] = onnxruntime.__version__  # its package here may be onnxruntime-gpu
    wanted = [f"{name}=={version}" for name, version in versions.items()]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", REPOSITORY], check=True)
    missing = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False, cwd=tmp_path)
    assert missing.returncode != 0
    command = [python, "-m", "nlvid_cli", "classify", clips / "long.mp4", "-m", exported.path, "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    here = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(here.stdout)
