"""Exported files in an older ONNX Runtime, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from nlvid_cli.onnx_export import Exported, export_onnx

OLD = "1.17.3"
"""Version of February 2024. It takes files of IR version 9 at most."""

RUN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
numpy.save(sys.argv[3], session.run(["logits"], {"video": numpy.load(sys.argv[2])})[0])
print(onnxruntime.__version__)
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the older runtime."""
    if sys.version_info >= (3, 13):
        pytest.skip(f"ONNX Runtime {OLD} is not published for this version of Python")
    folder = tmp_path_factory.mktemp("older") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [f"onnxruntime=={OLD}", "numpy<2"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def _require_same_logits(model: Path, old_python: Path, folder: Path, clip: np.ndarray) -> None:
    files = folder / "clips.npy", folder / "logits.npy"
    np.save(files[0], clip)
    done = subprocess.run([old_python, "-c", RUN, model, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, OLD), done.stderr
    here = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = here.run(["logits"], {"video": clip})[0]
    np.testing.assert_allclose(np.load(files[1]), expected, atol=1e-4 * np.abs(expected).max())


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def test_files_state_the_oldest_version_of_the_format_that_holds_them(exported: Exported) -> None:
    model = onnx.load(exported.path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version == 8


@pytest.mark.slow
@pytest.mark.network
def test_a_small_network_in_an_older_runtime(exported: Exported, old_python: Path, tmp_path: Path) -> None:
    _require_same_logits(exported.path, old_python, tmp_path, _noise(2, 3, 8, 64, 64))


@pytest.mark.long
@pytest.mark.network
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_i3d_in_an_older_runtime(precision: str, old_python: Path, clips: Path, tmp_path: Path) -> None:
    calibrate = [clips / "long.mp4"] if precision == "int8" else []
    model = tmp_path / "i3d.onnx"
    export_onnx("i3d", model, precision=precision, calibrate=calibrate, device="cpu")  # type: ignore[arg-type]
    _require_same_logits(model, old_python, tmp_path, _noise(1, 3, 64, 224, 224))
