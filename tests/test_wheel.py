"""The built wheel, installed away from the repository, finds its weights folder and runs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.network  # the build fetches hatchling


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_what_is_inside(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "nlvid_cli/py.typed",
        "nlvid_cli/report/templates/page.html.j2",
        "nlvid_cli/weights/manifest.toml",
        "nlvid_cli/weights/README.md",
        "nlvid_cli/weights/labels/kinetics400.txt",
    } <= names
    assert not [name for name in names if name.startswith(("weights/", "tests/", "benchmarks/"))]


def test_runs_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(place)}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    where = "from nlvid_cli.card.manifest import weights_folder; print(weights_folder())"
    assert run("-c", where).strip() == str(place / "nlvid_cli" / "weights")
    assert "i3d-inception-64x1.deepmind-k400" in run("-m", "nlvid_cli", "models", "list")
    assert (place / "bin" / "nlvid").is_file()
